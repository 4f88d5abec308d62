/**
 * Clients that give dashboards and alerts something to show: people who speak, and some who do what they should not, each
 * again and again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { readSpeechSample } from '../../src/speech-sample.ts';
import { connect, emitWithAck, silence, type TestClient, tone } from './client.ts';

const CHUNK_MS = 100;
const CHUNK_BYTES = CHUNK_MS * 32;
/** Of a session that ends when its actor does. */
const MANY_CHUNKS = 3_000;
/** Whoever was refused tries again after so long. */
const RETRY_MS = 500;
/** For whatever a session waits for. */
const ANSWER_MS = 5_000;
/** Longer than anybody is let wait for a stream. */
const IN_LINE_MS = 60_000;
/** Of a resume of somebody who has heard nothing yet and still holds all audio. */
const NOTHING_HEARD = { attempt: 2, epoch: 1, last_seq: 0, last_end: 0, acked: 0, oldest_chunk: 1, oldest_offset: 0 };
/** As long as those of sessions are. */
const TOKEN = 'A'.repeat(43);
/** Longer than the trimming of silence needs to cut something, in seconds. */
const PAUSE_S = 5;
/** Far more than there may be at once where `GATEWAY_EVENTS_PER_SECOND` is 50. */
const FLOOD_EVENTS = 700;
const FLOOD_EVERY_MS = 2_000;

type Data = Readonly<Record<string, unknown>>;

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
        await answer(scene, client, 'connected', { unless: 'connect_error' });
        return client;
      };
      const pause = (ms: number) => delay(ms, undefined, { signal });
      const scene: Scene = { open, pause };
      const waitMs = this.#act(scene).then(
        () => CHUNK_MS,
        () => RETRY_MS,
      );
      const done = await Promise.race([waitMs, ended]);
      for (const client of clients) client.close();
      await pause(done ?? 0).catch(() => undefined);
    }
  }
}

/** A short session of version 1, after a request and a chunk that belongs to no session. */
export function speak(url: string): Act {
  return async (scene) => {
    await fetch(url);
    const speaker = await scene.open();
    speaker.socket.emit('audio_chunk', { chunk: tone(CHUNK_MS) });
    await answer(scene, speaker, 'error');
    await start(scene, speaker, {});
    await say(scene, speaker, 15);
    await stop(scene, speaker);
  };
}

/** A session of version 2 with a viewer, which loses its connection, is resumed, has a pause and goes on. */
export async function speakOnTwoConnections(scene: Scene): Promise<void> {
  const first = await scene.open();
  const options = { acks: true, start_key: crypto.randomUUID(), attempt: 1, trim_silence: true };
  const { resume_token, session_id, watch_token } = await start(scene, first, options);
  const viewer = await scene.open();
  await emitWithAck(viewer, 'watch_transcription', { session_id, watch_token, after_seq: 0 });
  await say(scene, first, 10, 1);
  first.close();
  const second = await scene.open();
  second.socket.emit('resume_transcription', { ...NOTHING_HEARD, session_id, resume_token });
  const { next_chunk } = await answer(scene, second, 'transcription_resumed');
  const from = Number(next_chunk);
  for (let n = 0; n < PAUSE_S; n++) second.socket.emit('audio_chunk', { chunk: silence(1_000), seq: from + n });
  await say(scene, second, 10, from + PAUSE_S);
  await stop(scene, second);
}

/** A session of version 1 that goes on, and waits in line if it must. */
export async function speakOn(scene: Scene): Promise<void> {
  const speaker = await scene.open();
  await start(scene, speaker, {}, IN_LINE_MS);
  await say(scene, speaker, MANY_CHUNKS);
}

/** A session of version 2 that goes on, with a viewer. */
export async function speakToViewer(scene: Scene): Promise<void> {
  const speaker = await scene.open();
  const { session_id, watch_token } = await start(scene, speaker, {});
  const viewer = await scene.open();
  await emitWithAck(viewer, 'watch_transcription', { session_id, watch_token, after_seq: 0 });
  await say(scene, speaker, MANY_CHUNKS, 1);
}

/** Loses the connection of its session, and comes back for it after so many milliseconds. */
export function returnAfter(ms: number): Act {
  return async (scene) => {
    const first = await scene.open();
    const { resume_token, session_id } = await start(scene, first, {});
    first.close();
    await scene.pause(ms);
    const second = await scene.open();
    second.socket.emit('resume_transcription', { ...NOTHING_HEARD, session_id, resume_token });
    await answer(scene, second, 'error');
  };
}

/** Connects, and is gone again. */
export async function knock({ open }: Scene): Promise<void> {
  await open();
}

/** A session of version 1 with the bundled sample. @param everyMs from one 100 ms of it to the next */
export function speakSample(everyMs: number): Act {
  return async (scene) => {
    const sample = await readSpeechSample();
    const speaker = await scene.open();
    await start(scene, speaker, {});
    for (let at = 0; at < sample.length; at += CHUNK_BYTES) {
      speaker.socket.emit('audio_chunk', { chunk: sample.subarray(at, at + CHUNK_BYTES) });
      await scene.pause(everyMs);
    }
    await stop(scene, speaker);
  };
}

/** Asks for a session that nobody knows, then sends so many events that the connection is cut. */
export async function flood(scene: Scene): Promise<void> {
  const client = await scene.open();
  client.socket.emit('resume_transcription', { ...NOTHING_HEARD, session_id: 'nobody', resume_token: TOKEN });
  for (let n = 0; n < FLOOD_EVENTS; n++) client.socket.emit('stop_transcription');
  await scene.pause(FLOOD_EVERY_MS);
}

/** Rejects at once when the session is refused, or something is wrong with it. */
async function start(scene: Scene, client: TestClient, options: object, withinMs = ANSWER_MS): Promise<Data> {
  client.socket.emit('start_transcription', options);
  return answer(scene, client, 'transcription_started', { unless: 'error', withinMs });
}

/** Speaks for so many chunks as fast as people do. @param seq number of the first; without, they have none */
async function say(scene: Scene, client: TestClient, chunks: number, seq?: number): Promise<void> {
  for (let n = 0; n < chunks; n++) {
    client.socket.emit('audio_chunk', { chunk: tone(CHUNK_MS), ...(seq !== undefined && { seq: seq + n }) });
    await scene.pause(CHUNK_MS);
  }
}

async function stop(scene: Scene, client: TestClient): Promise<void> {
  client.socket.emit('stop_transcription', {});
  await answer(scene, client, 'transcription_stopped');
}

/**
 * The next event of that name; leaves no timer behind when the actor stops.
 * @throws Error if the other event comes, or neither in time
 */
function answer(
  scene: Scene,
  { socket }: TestClient,
  event: string,
  { unless, withinMs = ANSWER_MS }: { unless?: string; withinMs?: number } = {},
): Promise<Data> {
  const come = new Promise<Data>((resolve, reject) => {
    socket.once(event, resolve);
    if (unless !== undefined) socket.once(unless, () => reject(new Error(`${unless} instead of ${event}`)));
  });
  const late = scene.pause(withinMs).then(() => {
    throw new Error(`no ${event} within ${withinMs} ms`);
  });
  return Promise.race([come, late]);
}
