"""A version-1 app that idles: prints a line whenever it is connected, and leaves reconnecting to python-socketio."""

import sys

import socketio

url, transport = sys.argv[1:]
client = socketio.Client(reconnection_delay=0.2, reconnection_delay_max=1)


@client.event
def connect():
    print("connect", flush=True)


@client.event
def disconnect(*_):
    print("disconnect", flush=True)


@client.on("transcription_stopped")
def stopped(_):
    print("stopped", flush=True)


client.connect(url, transports=[transport], wait_timeout=20)
client.wait()
