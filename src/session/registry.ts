import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Principal } from '../auth/principal.ts';
import type { Engine } from '../engines/engine.ts';
import { drainingError, GatewayError, toGatewayError } from '../errors.ts';
import type { Account } from '../limits/account.ts';
import type { Budgets } from '../limits/budgets.ts';
import type { Seat, SessionPlaces } from '../limits/session-places.ts';
import type { Logger } from '../log.ts';
import { beginEngineSeries } from '../metrics/engine-metrics.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { ResumeRequest, StartTerms } from '../protocol/resume-request.ts';
import type { StartRequest } from '../protocol/start-request.ts';
import { openEntries } from '../resume/entries.ts';
import { newSecrets, type SessionSecrets, secretsOf } from '../resume/tokens.ts';
import { isSessionId, newSessionId, tagOf } from '../store/session-id.ts';
import type { Claim, ClaimedSession, NewSession, Store } from '../store/store.ts';
import type { Audience } from './audience.ts';
import { Claims } from './claims.ts';
import { Heartbeat } from './heartbeat.ts';
import { OwnedSession } from './owned-session.ts';
import type { Durability, OwnershipLimits } from './ownership.ts';
import { joined, replay } from './replay.ts';
import { expired, forbidden, nextChunk, recordOf, refused, type StoredRequest } from './resume-rules.ts';
import type { EntryBody, SessionView } from './session-view.ts';
import type { SessionState } from './state.ts';

/** What a client is granted that leaves a draining gateway, in milliseconds. */
export interface DrainTerms {
  /** To move to another one, before its session is handed over. */
  readonly moveMs: number;
  /** To come to the end of what it says, where its session can only end. */
  readonly quietMs: number;
}

/** How long a session whose budget is used up may go on for what is being said to come to an end, in milliseconds. */
const LAST_SENTENCE_MS = 5_000;

/** How long audio waits for nothing but this process before that is a fault, in milliseconds; usually it waits not at all. */
const STUCK_MS = 10_000;

/** Makes the view of a connection on a session, once it is known what that transcribes. */
type MakeView = (sessionId: string, request: StartRequest) => SessionView;

interface RegistryOptions {
  readonly engine: Engine;
  readonly store: Store;
  readonly places: SessionPlaces;
  /** Throws `overloaded` while there is no room for new sessions. */
  readonly assertRoom: () => void;
  readonly limits: OwnershipLimits & { readonly sessionAudioMs: number };
  readonly budgets: Budgets;
  /** Other workers share the store: sessions can go on elsewhere. */
  readonly isShared: boolean;
  readonly audience: Audience;
  /** Tells the other workers that a session is not theirs any more: they would find out with their next write. */
  readonly tellClaim: (sessionId: string, epoch: number) => void;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** What a session has of what is its tenant's and its user's. */
interface Tenancy {
  readonly account: Account;
  readonly seat: Seat;
}

/** The sessions of this process: the one place where a session begins or goes on, and where a drain finds them all. */
export class SessionRegistry {
  readonly #options: RegistryOptions;
  readonly #sessions = new Map<string, OwnedSession>();
  readonly #claims: Claims;
  /** The resume of a session that is under way: they go one after the other. */
  readonly #resuming = new Map<string, Promise<unknown>>();
  readonly #heartbeat: Heartbeat;
  #draining = false;
  /** What a drain has sent off. */
  readonly #leaving = new WeakSet<OwnedSession>();

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#claims = new Claims(options.store, options.tellClaim);
    options.store.onAvailability((available) => {
      if (available) for (const session of this.#sessions.values()) session.journal?.wake();
    });
    this.#heartbeat = new Heartbeat(options.store, this.#sessions);
    beginEngineSeries(options.metrics, options.engine.capabilities.name);
    options.metrics.sessionStates.sample(() => this.#countStates());
    options.metrics.entriesPending.sample(() => this.#countPending());
  }

  /** Whether audio of some session has waited for long for nothing but this process. */
  get isStuck(): boolean {
    const now = performance.now();
    return [...this.#sessions.values()].some(({ activity }) => activity.idleMs(now) > STUCK_MS);
  }

  /** Sessions that have not ended here. */
  get size(): number {
    return this.#sessions.size;
  }

  /**
   * Begins a session; the outcome goes to the view.
   * @param terms of a version-2 client, whose session outlives its connection; undefined for a session that does not
   * @throws GatewayError `draining` or `overloaded`
   */
  start(
    request: StartRequest,
    terms: StartTerms | undefined,
    principal: Principal,
    log: Logger,
    makeView: MakeView,
  ): OwnedSession {
    this.assertNotDraining();
    this.#options.assertRoom();
    if (terms === undefined) {
      const id = randomUUID();
      const { session, tenancy } = this.#add(id, request, undefined, principal, log, makeView(id, request));
      session.run(this.#admitTo(tenancy));
      return session;
    }
    const { acks, start } = terms;
    const id = newSessionId(principal.id, start?.key);
    const secrets = newSecrets(id);
    const claim: Claim = { sessionId: id, epoch: 1, claimId: randomUUID() };
    const stored = JSON.stringify({ request, acks } satisfies StoredRequest);
    const record = { ...recordOf(secrets, principal.id, stored, this.#claims.owner), start };
    const next = { chunk: 1, offset: 0 };
    const durability = { store: this.#options.store, secrets, record, attempt: 0, claim, acks, next };
    const { session, tenancy } = this.#add(id, request, durability, principal, log, makeView(id, request));
    session.run(this.#admit({ ...record, sessionId: id, claimId: claim.claimId, channels: request.channels }, tenancy));
    return session;
  }

  /**
   * Goes on with a session, wherever it was before. The view gets what the client missed, then `resumed`.
   * @returns undefined if the session is stopped: the view got the rest of it, and `stopped`
   * @throws GatewayError `resume_expired`, `resume_refused`, `forbidden`, `store_unavailable` or `draining`
   */
  async resume(
    request: ResumeRequest,
    principal: Principal,
    log: Logger,
    makeView: MakeView,
  ): Promise<OwnedSession | undefined> {
    this.assertNotDraining();
    const id = request.sessionId;
    const before = this.#resuming.get(id);
    const turn = (before ?? Promise.resolve()).then(() => this.#resumeInTurn(request, principal, log, makeView));
    const settled = turn.catch(() => undefined);
    this.#resuming.set(id, settled);
    const { resumesTotal } = this.#options.metrics;
    try {
      const session = await turn;
      resumesTotal.inc({ outcome: session === undefined ? 'stopped' : 'resumed' });
      return session;
    } catch (error) {
      resumesTotal.inc({ outcome: toGatewayError(error).code });
      throw error;
    } finally {
      if (this.#resuming.get(id) === settled) this.#resuming.delete(id);
    }
  }

  /** Viewers have come to a session, which may be here. */
  watched(sessionId: string): void {
    this.#sessions.get(sessionId)?.journal?.watch();
  }

  /** Another worker says that it has claimed a session. */
  claimedElsewhere(sessionId: string, epoch: number): void {
    const session = this.#sessions.get(sessionId);
    if (session !== undefined && session.epoch < epoch) session.fence(epoch, 'notice');
  }

  /** Refuses new sessions from now on. Running ones go on until they `leave`. */
  beginDrain(): void {
    this.#draining = true;
    this.#options.metrics.draining.set(1);
  }

  /** Whether another gateway can go on with the session. */
  isMovable(session: OwnedSession): boolean {
    return this.#options.isShared && session.journal !== undefined;
  }

  /**
   * Lets a session go during a drain. One that can go on elsewhere is handed over if its client does not take it there;
   * any other one gets its last finals.
   * @returns once it is gone
   */
  async leave(session: OwnedSession, { moveMs, quietMs }: DrainTerms): Promise<void> {
    this.#leaving.add(session);
    if (!this.isMovable(session)) {
      await session.stopWhenQuiet('draining', quietMs);
      return;
    }
    await Promise.race([session.gone, delay(moveMs, undefined, { ref: false })]);
    await session.handOver();
  }

  /**
   * Lets those sessions go whose clients are gone: they may be with another gateway any moment. Call it again and again,
   * because clients leave while a gateway drains.
   * @returns whether no session is left
   */
  sweep(terms: DrainTerms): boolean {
    for (const session of this.#sessions.values()) {
      if (!session.isAttended && !this.#leaving.has(session)) void this.leave(session, terms);
    }
    return this.#sessions.size === 0;
  }

  /** Ends what is left at the deadline of a drain; the sessions say what is lost by that. */
  async giveUp(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => session.giveUp()));
  }

  /** Stops the heartbeat. */
  close(): void {
    this.#heartbeat.close();
  }

  /** @throws GatewayError `draining` once this gateway takes nobody any more */
  assertNotDraining(): void {
    if (this.#draining) throw drainingError();
  }

  #countStates(): Map<Exclude<SessionState, 'ended'> | 'detached', number> {
    const counts = new Map<Exclude<SessionState, 'ended'> | 'detached', number>();
    for (const { activity, isAttended } of this.#sessions.values()) {
      const { state } = activity;
      if (state !== 'ended') counts.set(state, (counts.get(state) ?? 0) + 1);
      if (!isAttended) counts.set('detached', (counts.get('detached') ?? 0) + 1);
    }
    return counts;
  }

  #countPending(): number {
    return [...this.#sessions.values()].reduce(
      (sum, { journal }) => sum + (journal ? journal.lastSeq - journal.head : 0),
      0,
    );
  }

  #add(
    id: string,
    request: StartRequest,
    durability: Durability | undefined,
    principal: Principal,
    log: Logger,
    view: SessionView,
  ): { session: OwnedSession; tenancy: Tenancy } {
    const { audience, budgets, engine, limits, metrics, places } = this.#options;
    const account = budgets.account(principal);
    // Sessions of one start key have one seat: a later start takes that of the session that it ends.
    const seat = places.seat(principal, durability === undefined ? id : tagOf(id));
    const { sessionSeconds } = principal.limits;
    const session: OwnedSession = new OwnedSession(
      {
        id,
        request,
        tenant: principal.tenant,
        engine,
        limits,
        mostAudioMs: sessionSeconds === undefined ? limits.sessionAudioMs : sessionSeconds * 1000,
        metrics,
        log: log.child({ session_id: id }),
        audience,
        account,
        durability,
        onGone: (reason) => {
          if (this.#sessions.get(id) === session) this.#sessions.delete(id);
          metrics.sessions.set(this.#sessions.size);
          metrics.sessionsEndedTotal.inc({ reason });
          account.close();
          if (reason === 'handed_over' || reason === 'taken_over') seat.leave();
          else seat.release();
        },
      },
      view,
    );
    account.onSpent(() => void session.stopWhenQuiet('budget_exceeded', LAST_SENTENCE_MS));
    this.#sessions.set(id, session);
    metrics.sessions.set(this.#sessions.size);
    return { session, tenancy: { account, seat } };
  }

  /** @throws GatewayError `budget_exceeded` or `sessions_exceeded` */
  async #admitTo({ account, seat }: Tenancy): Promise<void> {
    await account.admit();
    await seat.take();
  }

  /**
   * Writes the record of a new session, and takes its places: in this order, because a start that comes too late must not
   * touch those of a later one.
   * @throws GatewayError `session_exists`, `store_unavailable`, `budget_exceeded` or `sessions_exceeded`
   */
  async #admit(session: NewSession, tenancy: Tenancy): Promise<void> {
    const ended = await this.#claims.create(session);
    if (ended !== undefined) this.#sessions.get(ended.sessionId)?.fence(ended.epoch, 'notice');
    await this.#admitTo(tenancy);
  }

  async #resumeInTurn(
    request: ResumeRequest,
    principal: Principal,
    log: Logger,
    makeView: MakeView,
  ): Promise<OwnedSession | undefined> {
    // Nothing else ever was a session.
    if (!isSessionId(request.sessionId)) throw expired();
    const secrets = secretsOf(request.sessionId, request.resumeToken);
    const local = this.#sessions.get(request.sessionId);
    if (secrets === undefined || local?.belongsTo(secrets, principal.id) === false) throw forbidden();
    if (local !== undefined && request.attempt <= local.attempt) throw refused(local.attempt);
    // What the client does not hold any more never comes: the stream here cannot be gone on with.
    // One that was passed over has nothing to hand over: the claim will show it that.
    const skips = local !== undefined && request.oldest.offset > local.next.offset;
    if (skips && request.epoch <= local.epoch) await this.#claims.handOver(local);
    await local?.journal?.hold();
    const claim = this.#claims.requestOf(request, secrets, principal.id);
    try {
      return this.#goOn(await this.#claims.claim(claim, local), secrets, request, principal, log, makeView);
    } catch (error) {
      local?.journal?.release();
      const isAway = error instanceof GatewayError && error.code === 'store_unavailable';
      // The present owner alone may attach a client without the store, and only one that knows no later owner.
      if (!isAway || local === undefined || local.isGone || local.epoch < request.epoch) throw error;
      const lastSeq = local.journal?.lastSeq ?? 0;
      // Nor one that an earlier owner, cut off as well, has told more: only a claim can work that in.
      if (lastSeq < request.lastSeq) throw error;
      const view = makeView(request.sessionId, local.request);
      const missed = local.journal?.since(request.lastSeq) ?? [];
      const { epoch } = local;
      replay(view, { entries: missed, lastSeq, trimmedEnd: undefined }, request, { epoch, durable: false });
      view.resumed(epoch, local.next, missed.length);
      local.reattach(view, undefined, request.attempt, 0, lastSeq);
      local.claimLost(claim);
      return local;
    }
  }

  #goOn(
    claimed: ClaimedSession,
    secrets: SessionSecrets,
    request: ResumeRequest,
    principal: Principal,
    log: Logger,
    makeView: MakeView,
  ): OwnedSession | undefined {
    const { sessionId } = request;
    const { epoch } = claimed.claim;
    const stored = JSON.parse(claimed.request) as StoredRequest;
    const view = makeView(sessionId, stored.request);
    const { head, trimmedEnd } = claimed;
    const recorded = openEntries<EntryBody>(secrets.journalKey, sessionId, claimed.missed);
    const local = this.#sessions.get(sessionId);
    if (local?.isContinuedBy(claimed)) {
      // What a store has lost its owner may still have.
      const missed = joined(recorded, local.journal?.committedSince(head) ?? []);
      const isRecorded = missed[0] === recorded[0];
      const all = {
        entries: missed,
        lastSeq: Math.max(head, local.journal?.head ?? 0),
        trimmedEnd: isRecorded ? trimmedEnd : undefined,
      };
      replay(view, all, request, { epoch, durable: true });
      view.resumed(epoch, local.next, missed.length);
      local.reattach(view, claimed.claim, request.attempt, head, request.lastSeq);
      return local;
    }
    replay(view, { entries: recorded, lastSeq: head, trimmedEnd }, request, { epoch, durable: true });
    local?.fence(epoch, 'notice');
    if (claimed.stopped !== undefined) {
      view.stopped({ ...claimed.stopped, lastSeq: head, durable: true });
      return undefined;
    }
    const next = nextChunk(claimed, request);
    view.resumed(epoch, next, recorded.length);
    const durability = {
      store: this.#options.store,
      secrets,
      record: recordOf(secrets, principal.id, claimed.request, this.#claims.owner),
      attempt: request.attempt,
      claim: claimed.claim,
      acks: stored.acks,
      claimed,
      next,
    };
    const { session, tenancy } = this.#add(sessionId, stored.request, durability, principal, log, view);
    tenancy.seat.keep();
    const from = Math.max(claimed.watermark.offset, ...claimed.ends);
    if (from < next.offset) session.reportMissing(from, next.offset);
    session.run();
    return session;
  }
}
