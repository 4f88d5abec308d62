import { msToSamples } from '../protocol/audio.ts';
import type { ResumeMessage } from '../protocol/client-messages.ts';
import type { AudioAckEvent, GapEvent, ResultEvent } from '../protocol/events.ts';
import type { Coverage } from './coverage.ts';
import type { Entry, Gap, PartialResult } from './events.ts';
import type { AudioRing } from './ring.ts';
import { EntrySequence } from './sequence.ts';
import { gapRange, type SessionBase, Timeline } from './timeline.ts';

/** Audio that the server received so long ago, without a word about it since, is silence; in milliseconds. */
const SILENCE_AFTER_MS = 30_000;

export interface SessionOutput {
  entry(entry: Entry): void;
  partial(partial: PartialResult): void;
}

/** What all sessions of a transcription share. */
export interface SessionWorld {
  readonly ring: AudioRing;
  readonly coverage: Coverage;
  readonly channels: number;
  /** Hertz. */
  readonly sampleRate: number;
  readonly output: SessionOutput;
}

interface SessionOptions extends SessionWorld {
  /** Undefined for a server that does not say it. */
  readonly id: string | undefined;
  /** Undefined where the session ends with its connection: such a server sends no acknowledgements either. */
  readonly resumeToken: string | undefined;
  readonly epoch: number | undefined;
  /** Entries of the sessions before. */
  readonly entriesBefore: number;
}

/** One session of the gateway as its client sees it: what came back, and what that means for the kept audio. */
export class ClientSession {
  readonly #options: SessionOptions;
  readonly #sequence = new EntrySequence();
  #timeline: Timeline | undefined;
  #localEntries = 0;
  #partialOpen = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#sequence.sawEpoch(options.epoch);
  }

  get id(): string | undefined {
    return this.#options.id;
  }

  get resumable(): boolean {
    return this.#options.resumeToken !== undefined;
  }

  get epoch(): number {
    return this.#sequence.epoch;
  }

  /** Entries of the transcription so far. */
  get entries(): number {
    return this.#options.entriesBefore + this.#localEntries + this.#sequence.lastSeq;
  }

  /** Undefined until `begin`. */
  get timeline(): Timeline | undefined {
    return this.#timeline;
  }

  sawEpoch(epoch: number | undefined): void {
    this.#sequence.sawEpoch(epoch);
  }

  /**
   * The session takes its first audio now. It begins where the entries of earlier sessions end; what is not held any
   * more between there and the oldest chunk is a gap that no server knows of.
   */
  begin(): Timeline {
    const { channels, coverage, ring, sampleRate } = this.#options;
    const from = coverage.position;
    ring.cutTo(from);
    for (let channel = 0; channels > 1 && channel < channels; channel += 1) {
      ring.silence(channel, coverage.channelPosition(channel));
    }
    const { number, offset } = ring.oldest;
    if (offset > from) this.#localGap(from, offset);
    const base: SessionBase = { chunks: number - 1, samples: offset, entries: this.entries };
    this.#timeline = new Timeline(base, sampleRate);
    return this.#timeline;
  }

  /** What a resume says, by the session's own numbers. */
  resumeMessage(attempt: number): ResumeMessage {
    const { coverage, id = '', resumeToken = '', ring } = this.#options;
    const timeline = this.#timeline;
    return {
      session_id: id,
      resume_token: resumeToken,
      attempt,
      epoch: this.#sequence.epoch,
      last_seq: this.#sequence.lastSeq,
      last_end: this.#sequence.lastEnd,
      acked: timeline?.sessionSample(coverage.acked) ?? 0,
      // A session that still waits in the queue has got nothing: it begins with whatever is held then.
      oldest_chunk: timeline === undefined ? 1 : ring.oldest.number - timeline.base.chunks,
      oldest_offset: timeline?.sessionSample(ring.oldest.offset) ?? 0,
    };
  }

  /** Returns false when an entry was skipped and the session must be resumed. */
  result(event: ResultEvent): boolean {
    const timeline = this.#timeline;
    if (timeline === undefined) return true;
    const { coverage, output, ring } = this.#options;
    if (event.is_partial) {
      if (!this.#sequence.isFresh({ epoch: event.epoch, afterSeq: event.after_seq })) return true;
      this.#partialOpen = event.text !== '';
      output.partial(timeline.partial(event));
      return true;
    }
    const seq = event.seq ?? this.#sequence.lastSeq + 1;
    const verdict = this.#take(seq, event, event.end_sample ?? 0, false);
    if (verdict !== 'deliver') return verdict === 'drop';
    const final = timeline.final(event, seq);
    coverage.final(final.endSample, final.channel);
    this.#partialOpen = false;
    if (!this.resumable) ring.forget(coverage.position);
    output.entry(final);
    return true;
  }

  /** Returns false when an entry was skipped and the session must be resumed. */
  gap(event: GapEvent): boolean {
    const timeline = this.#timeline;
    if (timeline === undefined) return true;
    const { coverage, output, ring } = this.#options;
    const seq = event.seq ?? this.#sequence.lastSeq + 1;
    const verdict = this.#take(seq, event, event.to_sample, event.reason === 'journal_trimmed');
    if (verdict !== 'deliver') return verdict === 'drop';
    const gap = timeline.gap(event, seq);
    coverage.gap(gap.toSample);
    if (!this.resumable) ring.forget(coverage.position);
    output.entry(gap);
    return true;
  }

  acknowledged(event: AudioAckEvent): void {
    const timeline = this.#timeline;
    if (timeline === undefined) return;
    const { coverage, ring } = this.#options;
    coverage.acknowledge(timeline.base.samples + event.offset);
    ring.forget(coverage.acked);
  }

  /**
   * The session has ended in good order: all that it received is covered.
   * @param received samples of the transcription that it has surely received
   * @param audioMs what it says to have received, in milliseconds
   */
  completed(received: number, audioMs = 0): void {
    const { coverage, ring, sampleRate } = this.#options;
    const said = (this.#timeline?.base.samples ?? 0) + msToSamples(audioMs, sampleRate);
    coverage.acknowledge(Math.min(Math.max(received, said), ring.end));
    ring.forget(coverage.acked);
  }

  /**
   * For a server that acknowledges nothing. Without this, an hour of silence would be kept and, after a lost connection,
   * sent again before anything new could be heard.
   * @param received samples that the server has taken
   */
  forgetSilence(received: number): void {
    if (this.resumable || this.#partialOpen) return;
    const { coverage, ring, sampleRate } = this.#options;
    coverage.acknowledge(Math.min(received, ring.end - msToSamples(SILENCE_AFTER_MS, sampleRate)));
    ring.forget(coverage.acked);
  }

  #take(seq: number, event: { epoch?: number; replayed?: boolean }, end: number, coversMissing: boolean) {
    const { epoch, replayed = false } = event;
    return this.#sequence.take({ seq, epoch, end, coversMissing, replayed });
  }

  #localGap(from: number, to: number): void {
    const { coverage, output, sampleRate } = this.#options;
    this.#localEntries += 1;
    coverage.gap(to);
    const range = gapRange(from, to, sampleRate);
    const gap: Gap = { kind: 'gap', seq: this.entries, ...range, reason: 'not_kept', replayed: false };
    output.entry(gap);
  }
}
