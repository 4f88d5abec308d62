import { setTimeout as delay } from 'node:timers/promises';
import { GatewayError } from '../errors.ts';
import { type AudioFormat, samplesToMs } from '../protocol/audio.ts';
import type { StartRequest } from '../protocol/start-request.ts';
import type { ChunkPosition } from '../resume/chunk-order.ts';
import { Journal } from '../resume/journal.ts';
import type { SessionSecrets } from '../resume/tokens.ts';
import { isSameHash } from '../same-hash.ts';
import type { Claim, ClaimedSession, ClaimRequest, SessionStop, Update, Watermark } from '../store/store.ts';
import { Intake } from './intake.ts';
import { LineMember } from './line-member.ts';
import { Lingering } from './lingering.ts';
import { LostClaim } from './lost-claim.ts';
import type { Durability, OwnedSessionOptions } from './ownership.ts';
import { continuesAs, originOf } from './resume-rules.ts';
import { Session } from './session.ts';
import { countGap } from './session-counts.ts';
import { type FencedBy, SessionLife } from './session-life.ts';
import type { SessionEnd, StopReason } from './session-options.ts';
import { SessionOutput } from './session-output.ts';
import type { EntryBody, SessionView } from './session-view.ts';
import { untilQuiet } from './until-quiet.ts';

/** How long a session that is given up waits for its last entries to be committed, in milliseconds. */
const LAST_COMMIT_MS = 300;

/**
 * A session that this worker owns: the transcription, the journal that makes its entries durable, and the connection
 * that is attached, if any. It outlives connections; what it may write is decided by the store alone.
 */
export class OwnedSession {
  readonly id: string;
  readonly #options: OwnedSessionOptions;
  readonly #session: Session;
  readonly #journal: Journal<EntryBody> | undefined;
  readonly #intake: Intake;
  readonly #gone = Promise.withResolvers<void>();
  #isGone = false;
  /** The client knows of the session. */
  #hasStarted: boolean;
  #attempt: number;
  readonly #output: SessionOutput;
  readonly #lostClaim = new LostClaim();
  #failure: GatewayError | undefined;
  /** The session goes on elsewhere: its end here is not its end. */
  #handingOver = false;
  readonly #line: LineMember;
  readonly #life: SessionLife;
  readonly #lingering: Lingering;

  constructor(options: OwnedSessionOptions, view: SessionView) {
    const { durability, engine, id, limits, log, metrics, mostAudioMs, request } = options;
    const claimed = durability?.claimed;
    this.id = id;
    this.#options = options;
    this.#life = new SessionLife(metrics);
    this.#output = new SessionOutput({ ...options, journal: () => this.#journal }, view);
    this.#attempt = durability?.attempt ?? 0;
    this.#hasStarted = claimed !== undefined;
    const next = durability?.next ?? { chunk: 1, offset: 0 };
    if (durability !== undefined) this.#journal = this.#openJournal(durability);
    this.#lingering = new Lingering(limits.lingerMs, limits.resumeWindowMs, {
      onLingered: () => {
        this.#line.leftAlone();
        this.park();
      },
      onExpired: () => {
        log.info('nobody came for the session in time');
        this.#forget('expired');
      },
    });
    this.#line = new LineMember(options, (place) => this.#output.queued(place));
    this.#session = new Session({
      id,
      request,
      engine,
      applicant: this.#line,
      from: claimed && originOf(claimed, next),
      clientKeepsAudio: durability?.acks,
      meter: options.account,
      limits,
      metrics,
      log,
      sink: {
        started: () => this.#started(),
        queued: (place) => this.#line.queued(place),
        result: (result) => {
          if (result.isPartial) this.#output.partial(result);
          else this.#append(result.startSample, result.endSample, { kind: 'final', result });
        },
        gap: (gap) => this.#append(gap.fromSample, gap.toSample, { kind: 'gap', gap }),
        ended: (end) => this.#ended(end),
      },
    });
    const warn = (warning: GatewayError) => this.#output.view?.warned(warning);
    this.#intake = new Intake({ session: this.#session, next, limits, mostAudioMs, warn, metrics, log });
    if (claimed !== undefined) this.#intake.resumed();
  }

  get epoch(): number {
    return this.#journal?.claim.epoch ?? 0;
  }

  get request(): StartRequest {
    return this.#options.request;
  }

  /** What makes it outlive its connection; undefined for a session that ends with it. */
  get journal(): Journal<EntryBody> | undefined {
    return this.#journal;
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** What it does now. */
  get activity(): Pick<Session, 'idleMs' | 'state'> {
    return this.#session;
  }

  /** A client is attached. */
  get isAttended(): boolean {
    return this.#output.view !== undefined;
  }

  get attempt(): number {
    return this.#attempt;
  }

  get stopping(): boolean {
    return this.#session.stopping;
  }

  /** Where the client's audio goes on. */
  get next(): ChunkPosition {
    return this.#intake.chunks.next;
  }

  /** Resolves when nothing of the session is left here. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Runs the session; call it once. @param admitted the first stream is opened when it resolves */
  run(admitted?: Promise<unknown>): void {
    void this.#session.run(admitted);
  }

  /** Takes a chunk of audio; see `Intake.take`. */
  audio(seq: number | undefined, decode: (format: AudioFormat) => Buffer): void {
    this.#life.heard();
    this.#intake.take(seq, decode);
  }

  room(): Promise<void> {
    return this.#intake.room();
  }

  /**
   * Flushes and ends the session.
   * @param lastChunk number of the client's last chunk, if it says
   * @throws GatewayError `chunk_gap` if one is missing; `no_session` if a session that cannot be resumed stops already
   */
  stop(reason: StopReason, lastChunk?: number): void {
    // A client repeats its stop after a resume.
    if (this.stopping && this.#journal === undefined) {
      throw new GatewayError('no_session', 'stop_transcription: the session is already stopping.');
    }
    // Its audio is not taken any more, so that asking for a chunk would be in vain. The end comes, here or elsewhere.
    if (this.#session.endsByItself) return;
    this.#intake.chunks.assertComplete(lastChunk);
    this.#session.stop(reason);
  }

  /** Audio that the client does not hold any more and that never came. Positions are samples. */
  reportMissing(fromSample: number, toSample: number): void {
    const { log, metrics, request } = this.#options;
    const reason = 'client_overflow';
    countGap(metrics, reason, (toSample - fromSample) / request.sampleRate);
    log.warn({ from_sample: fromSample, to_sample: toSample, reason }, 'audio was lost');
    this.#append(fromSample, toSample, { kind: 'gap', gap: { fromSample, toSample, reason } });
  }

  /**
   * Ends the session of the gateway's own accord, with its last finals, at a moment when no word is cut in two.
   * @param withinMs how long such a moment is waited for, in milliseconds
   */
  async stopWhenQuiet(reason: StopReason, withinMs: number): Promise<void> {
    await untilQuiet(this.#session, withinMs);
    if (!this.stopping) this.stop(reason);
    await this.gone;
  }

  /**
   * Commits all that the engine has heard and leaves the session to whoever claims it next.
   * @returns once that is done, or the session is gone for another reason
   */
  async handOver(): Promise<void> {
    this.#handingOver = true;
    this.#line.move();
    this.#session.stop('draining');
    await Promise.race([this.#session.ended.then(() => this.#journal?.drained()), this.gone]);
    this.#leave('handed_over');
  }

  /** Gives the engine's slot back until audio comes. */
  park(): void {
    this.#session.park();
  }

  /** Ends the session without waiting for the engine, nor for long for the store. */
  async giveUp(): Promise<void> {
    this.#session.giveUp();
    await this.#session.ended;
    await Promise.race([this.#journal?.drained(), delay(LAST_COMMIT_MS, undefined, { ref: false })]);
    // One that was being handed over is not stopped: it goes on elsewhere with what was committed.
    this.#leave(this.#handingOver ? 'handed_over' : 'draining');
  }

  /** The connection is gone. A session that can be resumed waits for its client. */
  detach(view: SessionView): void {
    if (this.#output.view !== view) return;
    this.#output.detach();
    this.#life.left();
    this.#line.detached();
    if (this.#journal === undefined) this.#session.abort();
    else {
      this.#options.log.info('session waits for its client');
      this.#lingering.begin();
    }
  }

  /** Whether a client that presents these may have the session. */
  belongsTo(secrets: SessionSecrets, principal: string): boolean {
    const own = this.#options.durability;
    return own?.record.principal === principal && isSameHash(own.secrets.resumeHash, secrets.resumeHash);
  }

  /** Whether the session that a claim found is this one as it is here, so that its engine stream can go on. */
  isContinuedBy(claimed: ClaimedSession): boolean {
    return !this.#isGone && this.#journal !== undefined && continuesAs(this.#journal, claimed);
  }

  /**
   * Another connection of the same worker goes on with the session.
   * @param claim the new claim; undefined where the store is away, and the old one stays
   * @param head number of the record's last entry
   * @param lastSeq number of the last entry that the client has or was given
   */
  reattach(view: SessionView, claim: Claim | undefined, attempt: number, head: number, lastSeq: number): void {
    const before = this.#output.view;
    this.#lingering.end();
    this.#life.back();
    this.#lostClaim.forget();
    this.#attempt = attempt;
    if (before !== view) before?.takenOver(claim?.epoch ?? this.epoch);
    this.#output.attach(view);
    this.#intake.resumed();
    this.#journal?.adopt(claim, head, lastSeq);
    this.#output.acknowledge();
    this.#line.attached();
  }

  /** A claim for the client that was attached had no answer. */
  claimLost(claim: ClaimRequest): void {
    this.#lostClaim.keep(claim);
  }

  /** Another claim holds the session: nothing more is said or written here. */
  fence(epoch: number, by: FencedBy): void {
    if (this.#isGone) return;
    this.#life.fenced(by);
    this.#options.log.info({ epoch }, 'session was taken over');
    this.#output.view?.takenOver(epoch);
    this.#leave('taken_over');
  }

  /** What the store must hear of the session now; undefined if nothing. @param now milliseconds of the monotonic clock */
  update(now: number): Update | undefined {
    return this.#journal?.update(now, this.#watermark());
  }

  /** Makes the session's record anew for a client that is about to be attached, and knows no later owner. */
  async rebuild(): Promise<void> {
    await this.#journal?.rebuild(this.#record()).catch(() => undefined);
  }

  #openJournal(durability: Durability): Journal<EntryBody> {
    const { claim, claimed, next, store } = durability;
    const { limits, log, request } = this.#options;
    return new Journal<EntryBody>({
      store,
      claim,
      key: durability.secrets.journalKey,
      head: claimed?.head ?? 0,
      ends: claimed?.ends ?? new Array<number>(request.channels).fill(0),
      watermark: { offset: claimed?.watermark.offset ?? 0, chunk: next.chunk - 1, chunkEnd: next.offset },
      tail: claimed?.missed,
      // Four times in the window, so that a lost call or two let nothing expire.
      limits: { ...limits.journal, renewMs: limits.resumeWindowMs / 4 },
      sink: {
        entry: (entry, durable) => this.#output.entry(entry, durable),
        published: (entry) => this.#options.audience.entry(this.id, this.epoch, entry),
        committed: () => this.#output.acknowledge(),
        stopped: (stop, durable) => this.#stopped(stop, durable),
        rebuilt: () => this.#options.metrics.rebuildsTotal.inc(),
        fenced: (epoch) => this.fence(epoch, 'write'),
        failed: (error) => {
          log.error({ err: error }, 'journal failed; session ends');
          this.#output.view?.failed(error);
          this.#leave('error');
        },
      },
      // Only while a client is attached, who would know better: a client that has gone elsewhere might not.
      record: () => this.#output.view && this.#record(),
      reclaim: () => this.#lostClaim.repeat(store, this.#journal?.lastSeq ?? 0),
    });
  }

  #started(): void {
    const { durability } = this.#options;
    const isFirst = !this.#hasStarted;
    const hasWaited = this.#line.served();
    this.#hasStarted = true;
    if (isFirst) this.#life.started(durability === undefined ? '1' : '2');
    // A client that resumed has been told by that, unless it was told to wait since.
    if (isFirst || hasWaited) this.#output.view?.started(this.epoch, durability?.secrets);
  }

  #record() {
    const { durability } = this.#options;
    return durability && { ...durability.record, attempt: this.#attempt };
  }

  #append(startSample: number, endSample: number, body: EntryBody): void {
    this.#output.awaitEntry(body);
    if (this.#journal === undefined) {
      this.#output.view?.entry(body, undefined);
      return;
    }
    // A gap is of all channels: nothing may be said about its audio any more.
    const ends = this.#session.ends.map((end) => (body.kind === 'gap' ? Math.max(end, endSample) : end));
    this.#journal.append({ startSample, endSample, body }, ends, this.#watermark());
  }

  /** How far the audio is covered; never beyond what was received, nor before the audio that a resume began with. */
  #watermark(): Watermark {
    return this.#intake.chunks.watermarkAt(this.#session.watermark);
  }

  #ended(end: SessionEnd): void {
    const { log, request } = this.#options;
    const audioMs = samplesToMs(end.samples, request.sampleRate);
    log.info({ reason: end.reason, audio_ms: audioMs, finals: end.finals }, 'session ended');
    if (this.#handingOver) return;
    if (this.#isGone || end.reason === 'disconnected') {
      this.#leave(end.reason);
      return;
    }
    if (end.error !== undefined && !this.#hasStarted) {
      this.#output.view?.failed(end.error);
      this.#forget('error');
      return;
    }
    this.#failure = end.error;
    const stop = { reason: end.reason, samples: end.samples, finals: end.finals };
    if (this.#journal === undefined) this.#stopped(stop, true);
    else this.#journal.stop(stop);
  }

  #stopped(stop: SessionStop, durable: boolean): void {
    const reason = stop.reason as SessionEnd['reason'];
    this.#output.stopped(stop, durable, this.#failure);
    // A stop that waits for the store is kept until it is there, or nobody can come for it any more.
    if (durable) this.#leave(reason);
    else this.#lingering.expire();
  }

  /** Leaves no record. One that cannot be removed expires. */
  #forget(reason: 'error' | 'expired'): void {
    const claim = this.#journal?.claim;
    this.#leave(reason);
    if (claim !== undefined) void this.#options.durability?.store.remove(claim).catch(() => undefined);
  }

  #leave(reason: Parameters<OwnedSessionOptions['onGone']>[0]): void {
    if (this.#isGone) return;
    this.#isGone = true;
    if (reason === 'taken_over' || reason === 'handed_over') this.#line.move();
    this.#lingering.end();
    this.#output.detach();
    this.#journal?.close();
    this.#session.abort();
    this.#life.over();
    this.#options.onGone(reason);
    this.#gone.resolve();
  }
}
