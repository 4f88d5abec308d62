/** Clients that give the panels of the dashboards something to show: people who speak, and some who do what they should not. */
import { setTimeout as delay } from 'node:timers/promises';
import { readSpeechSample } from '../../src/speech-sample.ts';
import { connect, emitWithAck, silence, type TestClient, tone } from './client.ts';

const CHUNK_MS = 100;
const CHUNK_BYTES = CHUNK_MS * 32;
/** For whatever a session waits for. */
const ANSWER_MS = 5_000;
/** Of a resume of somebody who has heard nothing yet and still holds all audio. */
const NOTHING_HEARD = { attempt: 2, epoch: 1, last_seq: 0, last_end: 0, acked: 0, oldest_chunk: 1, oldest_offset: 0 };
/** As long as those of sessions are. */
const TOKEN = 'A'.repeat(43);
/** Longer than the trimming of silence needs to cut something, in seconds. */
const PAUSE_S = 5;
/** Far more than there may be at once where `GATEWAY_EVENTS_PER_SECOND` is 50. */
const FLOOD_EVENTS = 700;
const FLOOD_EVERY_MS = 2_000;

/** What an act is done with. */
export interface Scene {
  /** Connects a client, which is closed when the act is over. Resolves when it is let in. */
  open(): Promise<TestClient>;
  /** Rejects when the actor is to stop. */
  pause(ms: number): Promise<unknown>;
}

/** What one does; whatever fails in it is what is to be seen. */
export type Act = (scene: Scene) => Promise<void>;

/** Does one thing again and again until told to stop. */
export class Actor {
  readonly #url: string;
  readonly #auth: Readonly<Record<string, unknown>>;
  readonly #act: Act;
  readonly #ending = new AbortController();
  readonly #done: Promise<void>;

  constructor(url: string, auth: Readonly<Record<string, unknown>>, act: Act) {
    this.#url = url;
    this.#auth = auth;
    this.#act = act;
    this.#done = this.#run();
  }

  /** Leaves what is under way as it is. Idempotent. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    const ended = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    while (!signal.aborted) {
      const clients: TestClient[] = [];
      const open = async () => {
        signal.throwIfAborted();
        const client = connect(this.#url, { auth: this.#auth, transports: ['websocket'] });
        clients.push(client);
        await client.next('connected', ANSWER_MS);
        return client;
      };
      const pause = (ms: number) => delay(ms, undefined, { signal });
      await Promise.race([this.#act({ open, pause }).catch(() => undefined), ended]);
      for (const client of clients) client.close();
      // A gateway that is gone refuses at once.
      await pause(CHUNK_MS).catch(() => undefined);
    }
  }
}

/** A short session of version 1, after a request and a chunk that belongs to no session. */
export function speak(url: string): Act {
  return async (scene) => {
    await fetch(url);
    const speaker = await scene.open();
    speaker.socket.emit('audio_chunk', { chunk: tone(CHUNK_MS) });
    await start(speaker, {});
    await say(scene, speaker, 15);
    await stop(speaker);
  };
}

/** A session of version 2 with a viewer, which loses its connection, is resumed, has a pause and goes on. */
export async function speakOnTwoConnections(scene: Scene): Promise<void> {
  const first = await scene.open();
  const options = { acks: true, start_key: crypto.randomUUID(), attempt: 1, trim_silence: true };
  const { resume_token, session_id, watch_token } = await start(first, options);
  const viewer = await scene.open();
  await emitWithAck(viewer, 'watch_transcription', { session_id, watch_token, after_seq: 0 });
  await say(scene, first, 10, 1);
  first.close();
  const second = await scene.open();
  second.socket.emit('resume_transcription', { ...NOTHING_HEARD, session_id, resume_token });
  const { next_chunk } = await second.next('transcription_resumed', ANSWER_MS);
  const from = Number(next_chunk);
  for (let n = 0; n < PAUSE_S; n++) second.socket.emit('audio_chunk', { chunk: silence(1_000), seq: from + n });
  await say(scene, second, 10, from + PAUSE_S);
  await stop(second);
}

/** A session of version 1 with the bundled sample. @param everyMs from one 100 ms of it to the next */
export function speakSample(everyMs: number): Act {
  return async (scene) => {
    const sample = await readSpeechSample();
    const speaker = await scene.open();
    await start(speaker, {});
    for (let at = 0; at < sample.length; at += CHUNK_BYTES) {
      speaker.socket.emit('audio_chunk', { chunk: sample.subarray(at, at + CHUNK_BYTES) });
      await scene.pause(everyMs);
    }
    await stop(speaker);
  };
}

/** Asks for a session that nobody knows, then sends so many events that the connection is cut. */
export async function flood(scene: Scene): Promise<void> {
  const client = await scene.open();
  client.socket.emit('resume_transcription', { ...NOTHING_HEARD, session_id: 'nobody', resume_token: TOKEN });
  for (let n = 0; n < FLOOD_EVENTS; n++) client.socket.emit('stop_transcription');
  await scene.pause(FLOOD_EVERY_MS);
}

async function start(client: TestClient, options: object): Promise<Record<string, unknown>> {
  client.socket.emit('start_transcription', options);
  return client.next('transcription_started', ANSWER_MS);
}

/** Speaks for so many chunks as fast as people do. @param seq number of the first; without, they have none */
async function say(scene: Scene, client: TestClient, chunks: number, seq?: number): Promise<void> {
  for (let n = 0; n < chunks; n++) {
    client.socket.emit('audio_chunk', { chunk: tone(CHUNK_MS), ...(seq !== undefined && { seq: seq + n }) });
    await scene.pause(CHUNK_MS);
  }
}

async function stop(client: TestClient): Promise<void> {
  client.socket.emit('stop_transcription', {});
  await client.next('transcription_stopped', ANSWER_MS);
}
