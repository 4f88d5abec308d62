import type { Socket } from 'socket.io';
import { GatewayError } from '../errors.ts';
import type { LinePlace } from '../limits/applicant.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { samplesToMs } from '../protocol/audio.ts';
import type { ClientToServerEvents, ErrorEvent, ServerToClientEvents } from '../protocol/events.ts';
import type { ChunkPosition } from '../resume/chunk-order.ts';
import type { SessionSecrets } from '../resume/tokens.ts';
import type { EntryBody, EntryNote, SessionView, StopNote } from '../session/session-view.ts';
import type { PlacedResult } from '../session/timeline.ts';
import type { Watermark } from '../store/store.ts';
import type { GapFacts, Presenter, SessionFacts } from './presenter.ts';
import type { SendQueue } from './send-queue.ts';

interface ConnectionViewOptions {
  readonly socket: Socket<ClientToServerEvents, ServerToClientEvents>;
  readonly presenter: Presenter;
  readonly sendQueue: SendQueue;
  readonly facts: SessionFacts;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly emitError: (error: GatewayError) => ErrorEvent;
  readonly onStarted: () => void;
  /** Nothing follows. @param error why, if the session failed */
  readonly onOver: (error: ErrorEvent | undefined) => void;
}

/** What one session says to one connection, as events of its protocol version. */
export class ConnectionView implements SessionView {
  readonly #options: ConnectionViewOptions;
  #muted = false;

  constructor(options: ConnectionViewOptions) {
    this.#options = options;
  }

  /** The connection has another view of the session now: what is still said here is for nobody. */
  mute(): void {
    this.#muted = true;
  }

  queued(place: LinePlace, epoch: number, secrets: SessionSecrets): void {
    const { facts, presenter, socket } = this.#options;
    if (!this.#muted) socket.emit('transcription_queued', presenter.queued(facts, place, epoch, secrets));
  }

  started(epoch: number, secrets: SessionSecrets | undefined): void {
    const { facts, log, onStarted, presenter, socket } = this.#options;
    log.info({ language_code: facts.languageCode, engine: facts.engine }, 'session started');
    socket.emit('transcription_started', presenter.started(facts, epoch, secrets));
    onStarted();
  }

  partial(result: PlacedResult, epoch: number, afterSeq: number | undefined): void {
    const { facts, metrics, presenter, sendQueue, socket } = this.#options;
    if (this.#muted) return;
    if (sendQueue.isLong) {
      metrics.partialsSkippedTotal.inc();
      return;
    }
    metrics.resultsTotal.inc({ type: 'partial' });
    socket.emit('transcription_result', presenter.partial(facts, result, epoch, afterSeq));
  }

  entry(body: EntryBody, note: EntryNote | undefined): void {
    const { facts, metrics, presenter, socket } = this.#options;
    if (this.#muted) return;
    if (body.kind === 'gap') {
      this.#gap(body.gap, note);
      return;
    }
    metrics.resultsTotal.inc({ type: 'final' });
    socket.emit('transcription_result', presenter.final(facts, body.result, note));
  }

  trimmed(lastSeq: number, epoch: number, fromSample: number, toSample: number): void {
    const note = { seq: lastSeq, epoch, durable: true, replayed: true };
    this.#gap({ fromSample, toSample: Math.max(fromSample, toSample), reason: 'journal_trimmed' }, note);
  }

  warned(warning: GatewayError): void {
    if (!this.#muted) this.#options.emitError(warning);
  }

  acked(watermark: Watermark): void {
    const { presenter, socket } = this.#options;
    if (!this.#muted) socket.emit('audio_ack', presenter.acked(watermark));
  }

  resumed(epoch: number, next: ChunkPosition, missed: number): void {
    const { facts, log, presenter, socket } = this.#options;
    log.info({ epoch, missed }, 'session resumed');
    socket.emit('transcription_resumed', presenter.resumed(facts, epoch, next, missed));
  }

  stopped(stop: StopNote): void {
    const { emitError, facts, onOver, presenter, socket } = this.#options;
    if (this.#muted) return;
    // After the last finals, for it is the last word to a client that takes it for a failure.
    if (stop.reason === 'duration_exceeded') emitError(durationExceeded(stop.samples / facts.sampleRate));
    if (stop.reason === 'budget_exceeded') emitError(budgetExceeded());
    onOver(undefined);
    socket.emit('transcription_stopped', presenter.stopped(facts, stop));
  }

  failed(error: GatewayError): void {
    const { emitError, onOver } = this.#options;
    if (!this.#muted) onOver(emitError(error));
  }

  takenOver(epoch: number): void {
    const { facts, onOver, presenter, socket } = this.#options;
    if (this.#muted) return;
    socket.emit('taken_over', presenter.takenOver(facts, epoch));
    onOver(undefined);
  }

  #gap(gap: GapFacts, note: EntryNote | undefined): void {
    const { emitError, facts, presenter, socket } = this.#options;
    const event = presenter.gap(facts, gap, note);
    if (event !== undefined) {
      socket.emit('transcription_gap', event);
      return;
    }
    const ms = (samples: number) => samplesToMs(samples, facts.sampleRate);
    const message = `Audio from ${ms(gap.fromSample)} to ${ms(gap.toSample)} ms was lost and is not transcribed.`;
    emitError(new GatewayError('engine_unavailable', message));
  }
}

function durationExceeded(seconds: number): GatewayError {
  const message = `The session has reached its longest allowed duration, after ${Math.floor(seconds)} s of audio; the rest was not taken.`;
  return new GatewayError('duration_exceeded', message);
}

function budgetExceeded(): GatewayError {
  return new GatewayError('budget_exceeded', 'A daily budget of the tenant or the user is used up; the session ends.');
}
