import { msToSamples } from '../protocol/audio.ts';
import type { AckReply, ConnectionLimits, ErrorEvent } from '../protocol/events.ts';
import { now } from './clock.ts';
import type { Coverage } from './coverage.ts';
import { errorOf, type TranscriptionError } from './errors.ts';
import type { Link } from './link.ts';
import { Pacer } from './pacer.ts';
import type { AudioRing, RingChunk } from './ring.ts';
import type { Timeline } from './timeline.ts';

/**
 * Chunks on their way without a reply: two seconds. The replies are the gateway's pace, and on a slow uplink a longer
 * queue would hold up the answers to its pings, which are all that tells it that we live.
 */
const REPLY_WINDOW = 20;
/**
 * The gateway may ask for the same chunk so many times: a stop that was on its way is answered by that as well. Beyond it
 * the chunk gets lost behind the connection, and sending it again would go on for ever.
 */
const SAME_GAPS = 3;
/** Wait after a refusal that names none, in milliseconds. */
const REFUSAL_WAIT_MS = 500;
/** Audio that may wait to be sent before `ready` makes the application wait, in milliseconds. */
const READY_MS = 2_000;

export interface SenderEvents {
  /** The chunk that has to be sent next is not held any more: the server must be told. */
  hole(): void;
  /** The server asks for a chunk again and again, and does not take it. */
  notTaken(): void;
  /** A chunk was refused after later ones had gone, and the server does not number chunks: their order is lost. */
  outOfOrder(error: TranscriptionError): void;
}

interface Attachment {
  readonly link: Link;
  readonly timeline: Timeline;
  /** Whether the server numbers chunks and acknowledges coverage. */
  readonly resumable: boolean;
  readonly unacked: number;
  readonly window: number;
  /** Only while kept audio is being caught up with: up to this chunk, and on until little is waiting. */
  pacer: Pacer | undefined;
  readonly catchUpTo: number;
  /** Chunks without a reply. */
  waiting: number;
  /** Raised when sending goes back: replies to what was sent before do not count. */
  generation: number;
  /** The chunk that the server asked for last, and how often. */
  gap: { readonly chunk: number; readonly times: number };
  stopSent: boolean;
  pauseSent: boolean;
  blockedUntil: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** Sends the chunks of the ring in order, as fast as the server allows, and what has to follow the last of them. */
export class Sender {
  readonly #ring: AudioRing;
  readonly #coverage: Coverage;
  readonly #sampleRate: number;
  readonly #events: SenderEvents;
  #attached: Attachment | undefined;
  #next = 1;
  #received = 0;
  #stopping = false;
  #paused = false;
  #ready: (() => void)[] = [];

  constructor(ring: AudioRing, coverage: Coverage, sampleRate: number, events: SenderEvents) {
    this.#ring = ring;
    this.#coverage = coverage;
    this.#sampleRate = sampleRate;
    this.#events = events;
  }

  /**
   * The end of the last chunk that the present session has surely received, in samples of the transcription; moves only
   * where the server has no acknowledgements that say more.
   */
  get received(): number {
    return this.#received;
  }

  /** Everything was sent, and then the stop. */
  get stopSent(): boolean {
    return this.#attached?.stopSent === true;
  }

  /** Begins to send on a connection, from a chunk on. */
  attach(link: Link, timeline: Timeline, from: number, resumable: boolean, limits: Partial<ConnectionLimits>): void {
    this.detach();
    const { backlog_ms, catch_up, unacked_ms } = limits;
    // Half of the backlog is where the server begins to hold replies back; a window within it is never refused.
    const backlogWindow = backlog_ms === undefined ? REPLY_WINDOW : Math.max(1, Math.floor(backlog_ms / 2 / 100));
    this.#attached = {
      link,
      timeline,
      resumable,
      unacked: unacked_ms === undefined || !resumable ? Infinity : msToSamples(unacked_ms, this.#sampleRate),
      window: Math.min(REPLY_WINDOW, backlogWindow),
      pacer: catch_up === undefined ? undefined : new Pacer(this.#sampleRate, catch_up, now()),
      catchUpTo: this.#ring.last,
      waiting: 0,
      generation: 0,
      gap: { chunk: 0, times: 0 },
      stopSent: false,
      pauseSent: false,
      blockedUntil: 0,
      timer: undefined,
    };
    this.#next = from;
    this.#received = this.#ring.get(from)?.offset ?? this.#ring.end;
    this.pump();
  }

  /** The connection is gone. */
  detach(): void {
    clearTimeout(this.#attached?.timer);
    this.#attached = undefined;
  }

  /** The server has to be waited for: nothing is sent until it is attached to again. */
  hold(): void {
    if (this.#attached?.resumable) this.#attached.link.settle(this.#attached.waiting);
    this.detach();
  }

  /** Goes back to an earlier chunk, numbered as the session does; a later one changes nothing. */
  goBackTo(sessionChunk: number): void {
    const attached = this.#attached;
    if (attached === undefined) return;
    const { chunk, times } = attached.gap;
    attached.gap = { chunk: sessionChunk, times: chunk === sessionChunk ? times + 1 : 1 };
    if (attached.gap.times > SAME_GAPS) this.#events.notTaken();
    else this.#goBack(attached, attached.timeline.base.chunks + sessionChunk);
  }

  /** After the last chunk comes the stop. */
  stop(): void {
    this.#stopping = true;
    this.pump();
  }

  /** After the last chunk the session pauses. */
  pause(): void {
    this.#paused = true;
    this.pump();
  }

  unpause(): void {
    this.#paused = false;
    const attached = this.#attached;
    if (attached?.pauseSent !== true) return;
    attached.pauseSent = false;
    attached.link.emit('unpause_transcription');
  }

  /** Resolves when less than two seconds of audio wait to be sent. */
  ready(): Promise<void> {
    if (this.#hasRoom()) return Promise.resolve();
    return new Promise((resolve) => this.#ready.push(resolve));
  }

  /** Lets everybody go who waits for `ready`: nothing will be sent any more. */
  release(): void {
    for (const resolve of this.#ready.splice(0)) resolve();
  }

  /** Sends what may go now. Call it whenever something has changed: audio, an acknowledgement, a wish. */
  pump(): void {
    const attached = this.#attached;
    if (attached === undefined) return;
    clearTimeout(attached.timer);
    while (this.#next <= this.#ring.last) {
      const chunk = this.#ring.get(this.#next);
      if (chunk === undefined) {
        this.#events.hole();
        return;
      }
      const wait = this.#waitFor(chunk, attached);
      if (wait === Infinity) return;
      if (wait > 0) {
        attached.timer = setTimeout(() => this.pump(), wait);
        return;
      }
      this.#next += 1;
      this.#send(chunk, attached);
      if (!this.#hasRoom()) continue;
      this.release();
      // A source that is faster than speech never lets everything be sent; it is paced by what the server takes.
      if (this.#next > attached.catchUpTo) attached.pacer = undefined;
    }
    attached.pacer = undefined;
    this.#sendWishes(attached);
  }

  /** Milliseconds; infinite when an event will call `pump` again. */
  #waitFor(chunk: RingChunk, attached: Attachment): number {
    const at = now();
    if (at < attached.blockedUntil) return attached.blockedUntil - at;
    const covered = Math.max(this.#coverage.acked, attached.timeline.base.samples);
    if (chunk.end - covered > attached.unacked || attached.waiting >= attached.window) return Infinity;
    return attached.pacer?.take(chunk.end - chunk.offset, at) ?? 0;
  }

  #send(chunk: RingChunk, attached: Attachment): void {
    const { link, timeline } = attached;
    const { generation } = attached;
    const message = {
      chunk: chunk.audio,
      seq: chunk.number - timeline.base.chunks,
      offset: chunk.offset - timeline.base.samples,
    };
    attached.waiting += 1;
    // A server without resume holds replies back for as long as its engine is behind; that is no sign of death.
    if (attached.resumable) link.owe();
    link.emit('audio_chunk', message, (reply) => {
      if (attached !== this.#attached) return;
      if (generation === attached.generation) {
        attached.waiting -= 1;
        if (attached.resumable) link.settle();
      }
      this.#replied(chunk, reply, attached, generation);
      this.pump();
    });
  }

  #replied(chunk: RingChunk, reply: AckReply | undefined, attached: Attachment, generation: number): void {
    if (reply?.ok !== false) {
      // Where chunks are numbered, one that is dropped after a gap may be answered as well.
      if (!attached.resumable) this.#received = Math.max(this.#received, chunk.end);
      return;
    }
    const error: ErrorEvent = reply.error;
    // A chunk that is refused for its content is not sent again; the event that comes with it tells the application.
    if (error.code !== 'audio_rate_exceeded' && error.code !== 'rate_exceeded') return;
    attached.blockedUntil = Math.max(attached.blockedUntil, now() + (error.retry_after_ms ?? REFUSAL_WAIT_MS));
    if (generation !== attached.generation) return;
    if (!attached.resumable && this.#next > chunk.number + 1) this.#events.outOfOrder(errorOf(error));
    else this.#goBack(attached, chunk.number);
  }

  #goBack(attached: Attachment, number: number): void {
    if (number >= this.#next) return;
    this.#next = number;
    attached.generation += 1;
    // Chunks after a gap are dropped without a reply.
    if (attached.resumable) attached.link.settle(attached.waiting);
    attached.waiting = 0;
    // A stop whose last chunk had not come was not taken; it is said again after that chunk.
    attached.stopSent = false;
    this.pump();
  }

  /** What follows the last chunk. */
  #sendWishes(attached: Attachment): void {
    if (this.#paused && !attached.pauseSent) {
      attached.pauseSent = true;
      attached.link.emit('pause_transcription');
    }
    if (!this.#stopping || attached.stopSent) return;
    attached.stopSent = true;
    attached.link.emit('stop_transcription', { last_chunk: this.#ring.last - attached.timeline.base.chunks });
  }

  #hasRoom(): boolean {
    const next = this.#ring.get(this.#next)?.offset ?? (this.#next > this.#ring.last ? this.#ring.end : 0);
    return this.#ring.end - next < msToSamples(READY_MS, this.#sampleRate);
  }
}
