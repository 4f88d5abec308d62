import { BYTES_PER_SAMPLE } from '../../protocol/audio.ts';
import type { CallGate } from './call-gate.ts';
import type { StreamReport } from './messages.ts';
import { Utterances } from './utterances.ts';
import type { VoskModel, VoskRecogniser } from './vosk.ts';

/**
 * How much audio one native call takes at most: 100 ms at 16 kHz. Utterance ends and partials are looked for once a
 * call, so longer pieces would delay them. Their cost does not fall measurably with longer pieces.
 */
const PIECE_BYTES = 3_200;

/**
 * Decodes one stream inside a recogniser process: audio in, reports out. Native calls are strictly one after another,
 * and the recogniser is freed once, when none of them runs. Queued audio is bounded by the sender, who has at most
 * one second unacknowledged.
 */
export class StreamDecoder {
  readonly #model: VoskModel;
  readonly #sampleRate: number;
  readonly #gate: CallGate;
  readonly #report: (report: StreamReport) => void;
  readonly #utterances: Utterances;
  readonly #queue: Buffer[] = [];
  /** Made before any audio comes, so that the first words do not wait for it. */
  #recogniser: VoskRecogniser | undefined;
  #processed = 0;
  #running = false;
  #ended = false;
  /** Nothing is reported any more and the recogniser is freed, or will be when the call that runs returns. */
  #closed = false;

  constructor(model: VoskModel, sampleRate: number, gate: CallGate, report: (report: StreamReport) => void) {
    this.#model = model;
    this.#sampleRate = sampleRate;
    this.#gate = gate;
    this.#report = report;
    this.#utterances = new Utterances(sampleRate);
  }

  /** Makes the recogniser and reports `opened`, `failed` or `dropped`. To be called once, first. */
  async open(): Promise<void> {
    this.#running = true;
    this.#recogniser = await this.#model.open(this.#sampleRate, () => this.#closed).catch(() => undefined);
    this.#running = false;
    if (this.#closed) {
      this.#free();
      this.#report({ type: 'dropped' });
    } else if (this.#recogniser === undefined) {
      this.#close({ type: 'failed' });
    } else {
      this.#report({ type: 'opened' });
      await this.#run();
    }
  }

  /** Takes more audio: whole samples. */
  accept(audio: Buffer): void {
    this.#queue.push(audio);
    void this.#run();
  }

  /** Reports what is left and then `ended`. */
  end(): void {
    this.#ended = true;
    void this.#run();
  }

  /** Drops the stream; nothing is reported any more, except `dropped` by an `open` that this cuts short. */
  abort(): void {
    this.#close();
    if (!this.#running) this.#free();
  }

  /** Never rejects: a fault of the recogniser is reported as `failed`. */
  async #run(): Promise<void> {
    if (this.#running || this.#closed) return;
    this.#running = true;
    try {
      while (!this.#closed) {
        const piece = this.#takePiece();
        if (piece !== undefined) await this.#decode(piece);
        else if (this.#ended) await this.#flush();
        else break;
      }
    } catch {
      this.#close({ type: 'failed' });
    } finally {
      this.#running = false;
      if (this.#closed) this.#free();
    }
  }

  async #decode(piece: Buffer): Promise<void> {
    const recogniser = this.#recogniser;
    if (recogniser === undefined) throw new Error('audio came before the stream was opened');
    const utteranceEnded = await this.#gate.run(() => recogniser.accept(piece));
    if (this.#closed) return;
    this.#processed += piece.length / BYTES_PER_SAMPLE;
    const result = utteranceEnded
      ? this.#utterances.final(await this.#gate.run(() => recogniser.utterance()), this.#processed, false)
      : this.#utterances.partial(recogniser.partial(), this.#processed);
    if (this.#closed) return;
    if (result !== undefined) this.#report({ type: 'result', result });
    this.#report({ type: 'processed', samples: this.#processed });
  }

  async #flush(): Promise<void> {
    const recogniser = this.#recogniser;
    if (recogniser !== undefined && this.#processed > 0) {
      const utterance = await this.#gate.run(() => recogniser.flush());
      if (this.#closed) return;
      const result = this.#utterances.final(utterance, this.#processed, true);
      if (result !== undefined) this.#report({ type: 'result', result });
    }
    this.#close({ type: 'ended' });
  }

  #close(lastReport?: StreamReport): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue.length = 0;
    if (lastReport !== undefined) this.#report(lastReport);
  }

  #free(): void {
    void this.#recogniser?.free();
    this.#recogniser = undefined;
  }

  /** Up to `PIECE_BYTES` from the head of the queue, joined from as many chunks as it takes. */
  #takePiece(): Buffer | undefined {
    const parts: Buffer[] = [];
    let room = PIECE_BYTES;
    for (let head = this.#queue[0]; head !== undefined && room > 0; head = this.#queue[0]) {
      const part = head.subarray(0, room);
      parts.push(part);
      room -= part.length;
      if (part.length === head.length) this.#queue.shift();
      else this.#queue[0] = head.subarray(part.length);
    }
    const [only] = parts;
    return parts.length > 1 ? Buffer.concat(parts) : only;
  }
}
