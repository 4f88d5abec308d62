/** Attackers that send what nobody should, until so many cases are sent. */
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { type Random, seededRandom } from '../../../src/emulator/random.ts';
import { ERROR_CODES } from '../../../src/protocol/error-codes.ts';
import type { AckReply } from '../../../src/protocol/events.ts';
import { CLIENT_EVENTS, type ClientEvent } from '../../../src/protocol/events.ts';
import { frame, rawTcp, requestHead, UPGRADE } from '../raw-client.ts';
import { waitUntil } from '../timing.ts';
import { type Attacker, byPolling, byWebSocket, closing, forgetPolls, type Packet } from './attacker.ts';
import { anyEvent, type Known, write } from './events.ts';
import { changeBytes, mutate, pick } from './mutations.ts';
import type { Reach } from './reach.ts';
import { type Recording, recordSessions, SECRETS } from './recording.ts';

const V1_EVENTS: readonly ClientEvent[] = ['start_transcription', 'audio_chunk', 'stop_transcription'];
/** Attackers at a time. */
const LANES = 24;
/** Events of one connection, few enough to pass for a client's by their number. */
const EVENTS_EACH = 200;
const PACKETS_A_POLL = 20;
/** Above every id that a generated event has. */
const LAST_ID = 9_000_000;
/** What is refused at once in every state, and so is answered after all that came before it. */
const LAST = `42${LAST_ID}["start_transcription",{"language_code":5}]`;
/** An answer is owed to what is asked, or the end of the connection, in milliseconds. */
const ANSWER_MS = 20_000;
/** A session that was changed may never begin. */
const STARTED_MS = 50;

export interface StormReport {
  /** Generated events, packets of mutated sessions, and mutated bytes of frames and requests. */
  readonly cases: { readonly events: number; readonly packets: number; readonly bytes: number };
  readonly connections: number;
  /** What no answer may be, and connections that neither answered nor ended. At most some. */
  readonly faults: readonly string[];
}

export interface StormOptions {
  readonly url: string;
  readonly cases: number;
  readonly seed: number;
  /** The session of somebody else, which attackers know by its id. */
  readonly other: string;
  /** Told of the answers. */
  readonly reach: Reach | undefined;
  /** Called now and then. */
  readonly onProgress?: (cases: number) => void;
}

export async function storm(options: StormOptions): Promise<StormReport> {
  const one = new Storm(options, await recordSessions(options.url));
  await Promise.all(Array.from({ length: LANES }, (_, lane) => one.run(lane)));
  forgetPolls();
  return one;
}

class Storm implements StormReport {
  readonly cases = { events: 0, packets: 0, bytes: 0 };
  connections = 0;
  readonly faults: string[] = [];
  readonly #options: StormOptions;
  readonly #recordings: readonly Recording[];
  readonly #packets: readonly Packet[];

  constructor(options: StormOptions, recordings: readonly Recording[]) {
    this.#options = options;
    this.#recordings = recordings;
    this.#packets = recordings.flatMap(({ packets }) => packets);
  }

  get #sent(): number {
    return this.cases.bytes + this.cases.events + this.cases.packets;
  }

  async run(lane: number): Promise<void> {
    const { cases, onProgress, seed } = this.#options;
    const random = seededRandom(seed * 1_000 + lane + 1);
    while (this.#sent < cases) {
      this.connections += 1;
      const draw = random();
      if (draw < 0.15) await this.#events(random);
      else if (draw < 0.85) await this.#session(random);
      else await this.#bytes(random);
      onProgress?.(this.#sent);
    }
  }

  /** Generated events, with an answer asked for each. */
  async #events(random: Random): Promise<void> {
    const isV1 = random() < 0.15;
    const attacker = await this.#open(random);
    const known = { session: '', resume: '', watch: '', other: this.#options.other };
    const asked = new Map<number, ClientEvent>();
    const answered = Promise.withResolvers<void>();
    const connected = Promise.withResolvers<void>();
    const started = Promise.withResolvers<void>();
    attacker.hear((packet) => {
      if (packet.startsWith('42["connected"')) connected.resolve();
      const [, id] = /^43(\d+)/.exec(packet) ?? [];
      if (id !== undefined) {
        if (Number(id) === LAST_ID) answered.resolve();
        else this.#answer(asked, Number(id), packet, isV1);
      } else if (packet.startsWith('42["transcription_started"')) {
        learn(packet, known);
        started.resolve();
      }
    });
    await attacker.send([isV1 ? '40' : '40{"protocol":2}']);
    await soon(connected.promise, attacker.closed);
    await attacker.send(['42["start_transcription",{"acks":true}]']);
    await soon(started.promise, attacker.closed);
    const generated = fc.sample(anyEvent(isV1 ? V1_EVENTS : CLIENT_EVENTS), {
      numRuns: EVENTS_EACH,
      seed: Math.floor(random() * 2 ** 31),
    });
    for (let id = 0; id < generated.length && !attacker.isClosed; ) {
      const some: string[] = [];
      for (const event of generated.slice(id, id + PACKETS_A_POLL)) {
        asked.set(id, event.event);
        some.push(write(event, known, id));
        id += 1;
      }
      await attacker.send(some);
      this.cases.events += some.length;
    }
    await this.#finish(attacker, answered.promise, random);
  }

  /** A recorded session that was changed. */
  async #session(random: Random): Promise<void> {
    const attacker = await this.#open(random);
    const { packets, secrets } = pick(random, this.#recordings);
    const known = { session: '', resume: '', watch: '', other: this.#options.other };
    const answered = Promise.withResolvers<void>();
    const heard = { connected: Promise.withResolvers<void>(), started: Promise.withResolvers<void>() };
    attacker.hear((packet) => {
      if (packet.startsWith('42["connected"')) heard.connected.resolve();
      if (packet.startsWith(`43${LAST_ID}`)) answered.resolve();
      if (!packet.startsWith('42["transcription_started"')) return;
      learn(packet, known);
      heard.started.resolve();
    });
    const changed = mutate(packets, random, this.#packets);
    const ours = (packet: Packet): Packet => {
      if (typeof packet !== 'string' || known.session === '') return packet;
      const own = { session_id: known.session, resume_token: known.resume, watch_token: known.watch };
      return SECRETS.reduce(
        (text, name) => (secrets[name] === '' ? text : text.replaceAll(secrets[name], own[name])),
        packet,
      );
    };
    const [connect, start] = [changed.slice(0, 1), changed.slice(1, 2)];
    await attacker.send(connect);
    await Promise.race([heard.connected.promise, attacker.closed, delay(STARTED_MS)]);
    await attacker.send(start);
    await Promise.race([heard.started.promise, attacker.closed, delay(STARTED_MS)]);
    for (let at = 2; at < changed.length && !attacker.isClosed; at += PACKETS_A_POLL) {
      await attacker.send(changed.slice(at, at + PACKETS_A_POLL).map(ours));
    }
    this.cases.packets += changed.length;
    // What was changed may wait for an attachment, or never have asked to be let in: then this ends it.
    await this.#finish(attacker, answered.promise, random);
  }

  /** Frames of a WebSocket, or requests, with bytes of them changed. */
  async #bytes(random: Random): Promise<void> {
    const { packets } = pick(random, this.#recordings);
    const texts = packets.map((packet) => frame(typeof packet === 'string' ? 'text' : 'binary', packet));
    const frames = Buffer.concat(texts.slice(0, 1 + Math.floor(random() * texts.length)));
    const poll = requestHead(
      'POST /socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA',
      'Content-Type: text/plain',
      'Content-Length: 40',
    );
    const isFrames = random() < 0.5;
    let bytes: Buffer = isFrames
      ? frames
      : Buffer.from(pick(random, [UPGRADE, poll, poll + '4'.repeat(40), UPGRADE + poll]));
    for (let n = 1 + Math.floor(random() * 4); n > 0; n -= 1) bytes = changeBytes(bytes, random);
    const { socket } = await rawTcp(this.#options.url, ...(isFrames ? [UPGRADE, bytes] : [bytes]));
    // Whatever comes back, or nothing: the time limits of the gateway are another test's.
    await Promise.race([new Promise((resolve) => socket.once('data', resolve)), closing(socket), delay(5)]);
    socket.resetAndDestroy();
    this.cases.bytes += 1;
  }

  async #open(random: Random): Promise<Attacker> {
    return random() < 0.9 ? byWebSocket(this.#options.url) : byPolling(this.#options.url);
  }

  /** Waits until all that was sent is worked off. */
  async #finish(attacker: Attacker, answered: Promise<void>, random: Random): Promise<void> {
    await attacker.send([LAST]);
    const late = new AbortController();
    const timer = delay(ANSWER_MS, true, { signal: late.signal }).catch(() => false);
    const isLate = await Promise.race([answered, attacker.closed, timer]);
    late.abort();
    if (isLate === true) this.#fault('a connection neither answered nor ended');
    await attacker.leave(random() < 0.7 ? 'reset' : 'orderly');
  }

  #answer(asked: Map<number, ClientEvent>, id: number, packet: string, isV1: boolean): void {
    const event = asked.get(id);
    if (event === undefined) {
      this.#fault('an answer came twice, or unasked');
      return;
    }
    asked.delete(id);
    const [reply] = JSON.parse(packet.slice(packet.indexOf('['))) as [AckReply?];
    if (isV1) {
      if (reply !== undefined) this.#fault('version 1 was told something by an acknowledgement');
      return;
    }
    if (reply === undefined) {
      this.#fault(`${event} was answered with nothing`);
      return;
    }
    this.#options.reach?.answered(event, reply.ok);
    if (reply.ok) return;
    const { code, message } = reply.error;
    if (code === undefined || !(code in ERROR_CODES)) this.#fault(`${event} was refused without a code of the table`);
    if (code === 'internal') this.#fault(`${event} met an internal fault`);
    if (message.length > 10_000) this.#fault(`${event} was refused with a message of ${message.length} characters`);
  }

  #fault(fault: string): void {
    if (this.faults.length < 20) this.faults.push(fault);
  }
}

/** Waits for one of them, as long as an answer may take. */
function soon(...promises: readonly Promise<void>[]): Promise<void> {
  return waitUntil(performance.now() + ANSWER_MS, Promise.race(promises));
}

/** Takes the secrets of a session from what its client is told. */
function learn(packet: string, known: { -readonly [K in keyof Known]: Known[K] }): void {
  const [, started] = JSON.parse(packet.slice(2)) as [string, Record<string, string | undefined>];
  known.session = started.session_id ?? '';
  known.resume = started.resume_token ?? '';
  known.watch = started.watch_token ?? '';
}
