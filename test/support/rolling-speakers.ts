/** Clients that speak coded audio in real time while gateways are replaced under them, and what they were told. */
import { io, type Socket } from 'socket.io-client';
import { createTranscription, type Entry, type Transcription } from '../../src/client/index.ts';
import { BLOCK_SAMPLES, encodeBlock } from '../../src/emulator/coded-block.ts';
import { drawMs, seededRandom } from '../../src/emulator/random.ts';
import type { PlacedBlock } from './coded-audio.ts';
import { type BlockAccount, reconcile } from './reconcile.ts';
import { delayUntil } from './timing.ts';

export type TransportName = 'websocket' | 'polling';

const BLOCKS_A_CHUNK = 10;
const BLOCK_MS = 20;
/** In blocks: 300 ms to 3 s of words, 0.6 to 1.2 s of silence, in which a session can end without cutting a word. */
const WORDS = { min: 15, max: 150 };
const SILENCE = { min: 30, max: 60 };

/** What somebody says: utterances and silences, or without a pause while it is `held`. */
class Talk {
  readonly #random: () => number;
  #number = 0;
  /** Blocks until words turn into silence or the other way round. */
  #left = 0;
  #speaks = false;
  held = false;
  /** The last block that was said is part of an utterance that goes on. */
  isInWord = false;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** @param position of its first sample */
  chunk(position: number): { pcm: Buffer; blocks: PlacedBlock[] } {
    const blocks: PlacedBlock[] = [];
    const parts = Array.from({ length: BLOCKS_A_CHUNK }, (_, n) => {
      if (this.held) [this.#speaks, this.#left] = [true, 1];
      else if (this.#left === 0) {
        this.#speaks = !this.#speaks;
        this.#left = drawMs(this.#speaks ? WORDS : SILENCE, this.#random);
      }
      this.#left -= 1;
      if (!this.#speaks) return encodeBlock(0);
      const startSample = position + n * BLOCK_SAMPLES;
      blocks.push({ number: ++this.#number, startSample, endSample: startSample + BLOCK_SAMPLES });
      return encodeBlock(this.#number);
    });
    this.isInWord = this.#speaks && (this.held || this.#left > 0);
    return { pcm: Buffer.concat(parts), blocks };
  }
}

/** One client, whatever it speaks. */
export abstract class Speaker {
  readonly transport: TransportName;
  readonly #talk: Talk;
  /** From the last result before a move to the first one after it, in milliseconds. */
  readonly pausesMs: number[] = [];
  /** Whatever was wrong besides the account. */
  readonly problems: string[] = [];
  moves = 0;
  #heardAt = 0;
  #moved = false;
  #heard = Promise.withResolvers<void>();
  #chunks = 0;

  constructor(transport: TransportName, seed: number) {
    this.transport = transport;
    this.#talk = new Talk(seed);
  }

  get isInWord(): boolean {
    return this.#talk.isInWord;
  }

  /** Chunks spoken so far. */
  get chunks(): number {
    return this.#chunks;
  }

  /** Speaks without a pause. */
  set held(held: boolean) {
    this.#talk.held = held;
  }

  /** Resolves with the next live result. */
  async heard(): Promise<void> {
    this.#heard = Promise.withResolvers();
    await this.#heard.promise;
  }

  abstract run(goesOn: () => boolean): Promise<void>;
  abstract account(logs: readonly LogLine[]): BlockAccount;

  protected async speak(goesOn: () => boolean, send: (pcm: Buffer, blocks: PlacedBlock[], from: number) => void) {
    const begin = performance.now();
    for (let n = 0; goesOn(); n++) {
      const from = n * BLOCKS_A_CHUNK * BLOCK_SAMPLES;
      const { blocks, pcm } = this.#talk.chunk(from);
      this.#chunks += 1;
      send(pcm, blocks, from);
      await delayUntil(begin + (n + 1) * BLOCKS_A_CHUNK * BLOCK_MS);
    }
  }

  protected live(): void {
    const now = performance.now();
    if (this.#moved) {
      this.pausesMs.push(now - this.#heardAt);
      this.moves += 1;
    }
    this.#moved = false;
    this.#heardAt = now;
    this.#heard.resolve();
  }

  /** What it had is over; the next result is the first one elsewhere. */
  protected moved(): void {
    this.#moved = true;
  }
}

/** Speaks version 2 by the client library. */
export class LibrarySpeaker extends Speaker {
  readonly #transcription: Transcription;
  readonly #entries: Entry[] = [];
  readonly #blocks: PlacedBlock[] = [];

  /** @param token where the gateway asks for one */
  constructor(url: string, transport: TransportName, seed: number, token?: string) {
    super(transport, seed);
    const socket = { transports: [transport] };
    const transcription = createTranscription({ url, exclusive: true, socket, ...(token !== undefined && { token }) });
    this.#transcription = transcription;
    transcription.on('partial', () => this.live());
    transcription.on('final', (final) => {
      this.#note(final, final.startSample, final.endSample);
      if (!final.replayed) this.live();
    });
    transcription.on('gap', (gap) => this.#note(gap, gap.fromSample, gap.toSample));
    transcription.on('error', (error) => this.problems.push(`error ${error.code}: ${error.message}`));
    transcription.on('session', ({ resumed }) => resumed && this.moved());
  }

  override async run(goesOn: () => boolean): Promise<void> {
    await this.#transcription.start();
    await this.speak(goesOn, (pcm, blocks) => {
      this.#blocks.push(...blocks);
      this.#transcription.send(pcm);
    });
    const { sessions } = await this.#transcription.stop();
    if (sessions !== 1) this.problems.push(`${sessions} sessions instead of one`);
  }

  override account(): BlockAccount {
    return reconcile({
      expected: this.#blocks,
      finals: this.#entries.flatMap((entry) => (entry.kind === 'final' ? [entry.text] : [])),
      gaps: [],
    });
  }

  #note(entry: Entry, startSample: number, endSample: number): void {
    const before = this.#entries.at(-1);
    const end = before === undefined ? 0 : before.kind === 'final' ? before.endSample : before.toSample;
    if (startSample < end) this.problems.push(`entry ${entry.seq} begins at ${startSample}, before ${end}`);
    if (endSample < startSample) this.problems.push(`entry ${entry.seq} ends before it begins`);
    if (entry.kind === 'gap') this.problems.push(`gap ${entry.reason}`);
    this.#entries.push(entry);
  }
}

/** A line of a gateway's log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly msg?: string };

/** One session of version 1, which ends with its gateway. */
interface OldSession {
  /** By which the gateway's log names the connection. */
  readonly connectionId: string;
  readonly blocks: PlacedBlock[];
  readonly finals: string[];
  /** The client was told that it is over. */
  isTold: boolean;
}

/**
 * An app of version 1 as it is in the field: socket.io-client as it comes, which reconnects by itself. When its session
 * is stopped it starts another as soon as a gateway takes it.
 */
export class OldSpeaker extends Speaker {
  readonly #socket: Socket;
  readonly #sessions: OldSession[] = [];
  #session: OldSession | undefined;
  #changed = Promise.withResolvers<void>();
  /** Audio that was sent after the gateway had ended the session and before the client heard of it, in milliseconds. */
  readonly tailsMs: number[] = [];

  /** @param token where the gateway asks for one */
  constructor(url: string, transport: TransportName, seed: number, token?: string) {
    super(transport, seed);
    this.#socket = io(url, { forceNew: true, transports: [transport], auth: { token } });
    this.#socket.on('connected', () => this.#socket.emit('start_transcription', { language_code: 'en-US' }));
    this.#socket.on('transcription_started', () => {
      const connectionId = this.#socket.id ?? '';
      this.#session = { connectionId, blocks: [], finals: [], isTold: false };
      this.#sessions.push(this.#session);
      this.#wake();
    });
    this.#socket.on('transcription_result', ({ is_partial, text }: { is_partial: boolean; text: string }) => {
      if (!is_partial) this.#session?.finals.push(text);
      this.live();
    });
    this.#socket.on('transcription_stopped', () => {
      if (this.#session !== undefined) this.#session.isTold = true;
      this.#end();
      // As a person would press the button again; a gateway that goes refuses it and then closes the connection.
      this.#socket.emit('start_transcription', { language_code: 'en-US' });
    });
    this.#socket.on('disconnect', () => this.#end());
    this.#socket.on('error', ({ message }: { message: string }) => {
      if (/shutting down/.test(message)) return;
      this.problems.push(`error: ${message}`);
      // It has failed, which version 1 does not say in any other way.
      if (!/no session runs/.test(message) || this.#session === undefined) return;
      this.#end();
      this.#socket.emit('start_transcription', { language_code: 'en-US' });
    });
  }

  override async run(goesOn: () => boolean): Promise<void> {
    while (goesOn()) {
      while (this.#session === undefined) await this.#changed.promise;
      const session = this.#session;
      await this.speak(
        () => goesOn() && this.#session === session,
        (pcm, blocks) => {
          session.blocks.push(...blocks);
          this.#socket.emit('audio_chunk', { chunk: pcm.toString('base64') });
        },
      );
    }
    this.#socket.off('connected');
    const last = this.#session;
    this.#socket.emit('stop_transcription');
    while (this.#session !== undefined && this.#session === last) await this.#changed.promise;
    this.#socket.disconnect();
  }

  override account(logs: readonly LogLine[]): BlockAccount {
    const ends = new Map<unknown, number[]>();
    for (const { audio_ms, connection_id, msg } of logs) {
      if (msg === 'session ended') ends.set(connection_id, [...(ends.get(connection_id) ?? []), Number(audio_ms)]);
    }
    const expected: PlacedBlock[] = [];
    for (const { blocks, connectionId, isTold } of this.#sessions) {
      const audioMs = ends.get(connectionId)?.shift();
      if (!isTold || audioMs === undefined) this.problems.push('a session was cut off without its end');
      const taken = blocks.filter(({ endSample }) => endSample <= (audioMs ?? 0) * 16);
      expected.push(...taken);
      this.tailsMs.push((blocks.length - taken.length) * BLOCK_MS);
    }
    const heard = this.#sessions.flatMap(({ finals }) => finals);
    const late = new Set(this.#sessions.flatMap(({ blocks }) => blocks).map(({ number }) => number));
    for (const { number } of expected) late.delete(number);
    // What came after the end may be in no final, and is not: it was not taken.
    const account = reconcile({ expected, finals: heard, gaps: [] });
    return { ...account, invented: account.invented.filter((number) => !late.has(number)) };
  }

  #end(): void {
    if (this.#session === undefined) return;
    this.#session = undefined;
    this.moved();
    this.#wake();
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
