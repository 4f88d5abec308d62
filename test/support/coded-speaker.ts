import type { Socket } from 'socket.io-client';
import { drawMs, type Random, seededRandom } from '../../src/emulator/random.ts';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '../../src/protocol/audio.ts';
import type { ClientToServerEvents, ErrorEvent, ServerToClientEvents } from '../../src/protocol/events.ts';
import { codedAudio, type PlacedBlock } from './coded-audio.ts';
import { delayUntil, waitUntil } from './timing.ts';
import { TranscriptCheck } from './transcript-check.ts';

export type CodedSocket = Socket<ServerToClientEvents, ClientToServerEvents>;

/** Blocks of 20 ms: utterances of 300 ms to 3 s, silences of 80 ms to 1.2 s between them. */
const UTTERANCE_BLOCKS = { min: 15, max: 150 };
const SILENT_BLOCKS = { min: 4, max: 60 };
/** Up to three seconds, of which half can be trimmed. */
const TRIMMED_BLOCKS = { min: 4, max: 150 };
const UTTERANCES_A_PIECE = 3;
/** Longer than the streams of a soak are kept without audio. */
const PAUSE_MS = { min: 2_500, max: 6_000 };
/** Milliseconds of audio between pauses, on average. */
const AUDIO_BETWEEN_PAUSES_MS = 12_000;
/** Errors that speak of one event and not of the session. */
const HARMLESS: readonly (string | undefined)[] = ['audio_rate_exceeded', 'no_session'];
/** For the last finals, with every break on their way. */
const STOP_PATIENCE_MS = 90_000;
const START_PATIENCE_MS = 40_000;
const ANSWER_PATIENCE_MS = 10_000;
/** Where a refused start does not say when to come again. */
const RESTART_AFTER_MS = 300;

const START = { language_code: 'en-US' };

type Reply = { readonly ok: true } | { readonly ok: false; readonly error: ErrorEvent };

/**
 * Acknowledgements are held back while the gateway has much to catch up on. Who sends on regardless is refused, and
 * would have to find out which of its chunks were; a client that counts them is not.
 */
const MAX_UNANSWERED_SAMPLES = 5 * SAMPLE_RATE;

interface SentChunk {
  readonly startSample: number;
  readonly endSample: number;
  accepted: boolean;
}

export interface CodedSpeakerOptions {
  readonly socket: CodedSocket;
  readonly seed: number;
  /** Number of the first block that is said. */
  readonly firstBlock: number;
  /** Samples of each chunk that is sent. */
  readonly chunkSamples: number;
  /** Whether the client sometimes sends nothing for a while. */
  readonly pauses: boolean;
  /** Whether it asks to have silence trimmed, and is silent for longer. */
  readonly trims?: boolean;
}

/** What became of all that one client said; positions of each session are moved so that no two sessions touch. */
export interface SpeakerRecord {
  readonly expected: readonly PlacedBlock[];
  readonly finals: readonly string[];
  readonly gaps: readonly { readonly fromSample: number; readonly toSample: number }[];
  /** Whatever was wrong with positions, or with the session itself. */
  readonly problems: readonly string[];
  readonly sessions: number;
  /** Codes of the errors that ended sessions or refused them. */
  readonly errors: readonly string[];
  readonly refusedChunks: number;
  /** The longest that a chunk waited for its acknowledgement, which comes when there is room for the next. */
  readonly longestAnswerMs: number;
}

/**
 * A client that speaks coded audio in real time until its time is over. Where the gateway ends its session with an
 * error, it starts another, as a person would press the button again.
 */
export class CodedSpeaker {
  readonly #options: CodedSpeakerOptions;
  readonly #random: Random;
  readonly #expected: PlacedBlock[] = [];
  readonly #finals: string[] = [];
  readonly #gaps: { fromSample: number; toSample: number }[] = [];
  readonly #problems: string[] = [];
  readonly #errors: string[] = [];
  #sessions = 0;
  #refusedChunks = 0;
  #longestAnswerMs = 0;
  #nextBlock: number;
  #pieces = 0;
  /** Where the next session begins on the record's timeline, in samples. */
  #base = 0;

  constructor(options: CodedSpeakerOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#nextBlock = options.firstBlock;
  }

  /** @param until milliseconds of the monotonic clock */
  async speak(until: number): Promise<SpeakerRecord> {
    while (performance.now() < until) {
      const refused = await this.#start();
      if (refused === undefined) await this.#session(until);
      else await delayUntil(performance.now() + (refused.retry_after_ms ?? RESTART_AFTER_MS));
    }
    return {
      expected: this.#expected,
      finals: this.#finals,
      gaps: this.#gaps,
      problems: this.#problems,
      sessions: this.#sessions,
      errors: this.#errors,
      refusedChunks: this.#refusedChunks,
      longestAnswerMs: this.#longestAnswerMs,
    };
  }

  /** @returns the error if the session was refused */
  async #start(): Promise<ErrorEvent | undefined> {
    const answer = this.#options.socket.timeout(START_PATIENCE_MS).emitWithAck('start_transcription', {
      ...START,
      trim_silence: this.#options.trims === true,
    });
    const reply = (await answer.catch((error: Error) => ({ ok: false, error }))) as Reply;
    if (reply.ok) return undefined;
    this.#errors.push(`start: ${reply.error.code ?? reply.error.message}`);
    return reply.error;
  }

  async #session(until: number): Promise<void> {
    const { socket } = this.#options;
    this.#sessions += 1;
    const positions = new Map<number, PlacedBlock>();
    const check = new TranscriptCheck((number) => positions.get(number));
    const over = Promise.withResolvers<void>();
    let ended = false;
    const end = () => {
      ended = true;
      over.resolve();
    };
    const onError = (error: ErrorEvent) => {
      if (HARMLESS.includes(error.code)) return;
      this.#errors.push(error.code ?? 'unknown');
      end();
    };
    const listeners = {
      transcription_result: check.result,
      transcription_gap: check.gap,
      transcription_stopped: end,
      error: onError,
      disconnect: () => {
        this.#problems.push('the connection was cut');
        end();
      },
    };
    for (const [event, listener] of Object.entries(listeners)) socket.on(event as 'error', listener as () => void);

    const chunks: SentChunk[] = [];
    let unanswered = 0;
    let answer = Promise.withResolvers<void>();
    const send = (pcm: Buffer, startSample: number) => {
      const chunk = { startSample, endSample: startSample + pcm.length / BYTES_PER_SAMPLE, accepted: false };
      chunks.push(chunk);
      const sentAt = performance.now();
      unanswered += 1;
      socket.emit('audio_chunk', { chunk: pcm }, (reply) => {
        chunk.accepted = reply?.ok === true;
        this.#longestAnswerMs = Math.max(this.#longestAnswerMs, performance.now() - sentAt);
        unanswered -= 1;
        answer.resolve();
        answer = Promise.withResolvers();
      });
    };
    /** Waits until so few chunks are unanswered, and says whether they are. */
    const answersBut = async (count: number, patienceMs: number) => {
      const deadline = performance.now() + patienceMs;
      while (unanswered > count && performance.now() < deadline) await waitUntil(deadline, answer.promise);
      return unanswered <= count;
    };
    const hasRoom = async () => {
      await answersBut(MAX_UNANSWERED_SAMPLES / this.#options.chunkSamples, STOP_PATIENCE_MS);
      return !ended;
    };
    await this.#sendSpeech(until, positions, send, hasRoom);
    if (!ended) socket.emit('stop_transcription', {});
    await waitUntil(performance.now() + STOP_PATIENCE_MS, over.promise);
    if (!ended) this.#problems.push(`session ${this.#sessions} did not stop`);
    // Whatever waited for room is answered when the session is over.
    if (!(await answersBut(0, ANSWER_PATIENCE_MS))) {
      this.#problems.push(`session ${this.#sessions}: ${unanswered} chunks were not answered`);
    }
    for (const [event, listener] of Object.entries(listeners)) socket.off(event as 'error', listener as () => void);
    this.#book(check, positions, chunks);
  }

  /** Sends chunks at the speed of speech until the time or the session is over. */
  async #sendSpeech(
    until: number,
    positions: Map<number, PlacedBlock>,
    send: (pcm: Buffer, startSample: number) => void,
    hasRoom: () => Promise<boolean>,
  ): Promise<void> {
    const { chunkSamples, pauses } = this.#options;
    const chunkBytes = chunkSamples * BYTES_PER_SAMPLE;
    const chunkMs = (chunkSamples * 1000) / SAMPLE_RATE;
    let waiting = Buffer.alloc(0);
    let made = 0;
    let sent = 0;
    let deadline = performance.now();
    while (deadline < until) {
      while (waiting.length < chunkBytes) {
        const piece = this.#piece();
        for (const { number, startSample, endSample } of piece.blocks) {
          positions.set(number, { number, startSample: made + startSample, endSample: made + endSample });
        }
        made += piece.pcm.length / BYTES_PER_SAMPLE;
        waiting = Buffer.concat([waiting, piece.pcm]);
      }
      deadline += chunkMs;
      await delayUntil(deadline);
      // A session that is over takes nothing; what it was sent meanwhile is refused, and is not its any more.
      if (!(await hasRoom())) return;
      send(waiting.subarray(0, chunkBytes), sent);
      waiting = waiting.subarray(chunkBytes);
      sent += chunkSamples;
      if (pauses && this.#random() < chunkMs / AUDIO_BETWEEN_PAUSES_MS) deadline += drawMs(PAUSE_MS, this.#random);
    }
  }

  #piece() {
    this.#pieces += 1;
    const piece = codedAudio({
      utterances: UTTERANCES_A_PIECE,
      blocks: UTTERANCE_BLOCKS,
      silentBlocks: this.#options.trims ? TRIMMED_BLOCKS : SILENT_BLOCKS,
      firstBlock: this.#nextBlock,
      seed: this.#options.seed * 1_000_003 + this.#pieces,
    });
    this.#nextBlock += piece.blocks.length;
    return piece;
  }

  /** Enters a session that is over in the record. Only blocks that were taken whole were said. */
  #book(check: TranscriptCheck, positions: ReadonlyMap<number, PlacedBlock>, chunks: readonly SentChunk[]): void {
    const refused = chunks.filter((chunk) => !chunk.accepted);
    this.#refusedChunks += refused.length;
    const taken = chunks.filter((chunk) => chunk.accepted).at(-1)?.endSample ?? 0;
    // Refusals before the end would move all that follows; no soak may come so far.
    if (refused.some((chunk) => chunk.startSample < taken)) this.#problems.push('audio was refused in mid-session');
    for (const block of positions.values()) {
      if (block.endSample > taken) continue;
      const { number, startSample, endSample } = block;
      this.#expected.push({ number, startSample: this.#base + startSample, endSample: this.#base + endSample });
    }
    this.#finals.push(...check.finals);
    for (const { fromSample, toSample } of check.gaps) {
      this.#gaps.push({ fromSample: this.#base + fromSample, toSample: this.#base + toSample });
    }
    this.#problems.push(...check.problems.map((problem) => `session ${this.#sessions}: ${problem}`));
    this.#base += taken + SAMPLE_RATE;
  }
}
