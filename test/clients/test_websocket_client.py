#!/usr/bin/env python3
"""Streams raw PCM to a transcription server and prints what comes back.

Written from the table of protocol version 1 alone, as an app developer would, with python-socketio:
Debian's python3-socketio together with python3-websocket (or python3-requests for polling).

    test_websocket_client.py audio.pcm en-US [--url URL] [--transport websocket|polling] [--speed FACTOR] [--no-cookies]

Prints a line per final to standard output and everything else to standard error. Exits with 0 when the server has said
that the transcription stopped, with 1 on an error, with 2 when the server cannot be reached.
"""
import argparse
import base64
import sys
import threading
import time

import socketio

SAMPLE_RATE = 16_000
BYTES_PER_SAMPLE = 2
CHUNK_MS = 200
CHUNK_BYTES = SAMPLE_RATE * BYTES_PER_SAMPLE * CHUNK_MS // 1000


def parse_arguments():
    parser = argparse.ArgumentParser(description="Stream raw PCM (16 bit, mono, 16 kHz) and print the transcript.")
    parser.add_argument("file", help="raw PCM")
    parser.add_argument("language", nargs="?", default="en-US")
    parser.add_argument("--url", default="http://localhost:5001")
    parser.add_argument("--transport", choices=["websocket", "polling"], default="websocket")
    parser.add_argument("--speed", type=float, default=1.0, help="1 is the speed of speech")
    parser.add_argument("--no-cookies", action="store_true", help="keep none, as apps whose HTTP library has no jar")
    return parser.parse_args()


def session_without_cookies():
    import http.cookiejar

    import requests

    session = requests.Session()
    session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    return session


def main():
    arguments = parse_arguments()
    http_session = session_without_cookies() if arguments.no_cookies else None
    client = socketio.Client(reconnection=False, http_session=http_session)
    started = threading.Event()
    stopped = threading.Event()
    errors = []

    def note(text):
        print(text, file=sys.stderr, flush=True)

    @client.on("connected")
    def on_connected(data):
        note(f"connected: {data['status']}")

    @client.on("transcription_started")
    def on_started(data):
        note(f"started: {data['status']}, {data['message']}, {data['language_code']}")
        started.set()

    @client.on("transcription_result")
    def on_result(data):
        if data["is_partial"]:
            note(f"... {data['text']}")
        else:
            print(data["text"], flush=True)

    @client.on("transcription_stopped")
    def on_stopped(data):
        note(f"stopped: {data['status']}, {data['message']}")
        stopped.set()

    @client.on("error")
    def on_error(data):
        note(f"error: {data['message']}")
        errors.append(data["message"])
        started.set()
        stopped.set()

    @client.on("disconnect")
    def on_disconnect():
        started.set()
        stopped.set()

    with open(arguments.file, "rb") as audio_file:
        audio = audio_file.read()

    try:
        client.connect(arguments.url, transports=[arguments.transport], wait_timeout=20)
    except socketio.exceptions.ConnectionError as error:
        note(f"cannot connect to {arguments.url}: {error}")
        return 2

    client.emit("start_transcription", {"language_code": arguments.language})
    if not started.wait(30) or errors:
        return 1
    begin = time.monotonic()
    for position in range(0, len(audio), CHUNK_BYTES):
        due = begin + position / (SAMPLE_RATE * BYTES_PER_SAMPLE) / arguments.speed
        time.sleep(max(0.0, due - time.monotonic()))
        chunk = audio[position : position + CHUNK_BYTES]
        client.emit("audio_chunk", {"chunk": base64.b64encode(chunk).decode("ascii")})
    client.emit("stop_transcription")
    finished = stopped.wait(60) and not errors and client.connected
    client.disconnect()
    return 0 if finished else 1


if __name__ == "__main__":
    sys.exit(main())
