import { randomUUID } from 'node:crypto';
import { GatewayError } from '../errors.ts';
import { failpoint } from '../failpoints.ts';
import type { ResumeRequest } from '../protocol/resume-request.ts';
import type { SessionSecrets } from '../resume/tokens.ts';
import {
  type ClaimAnswer,
  type ClaimedSession,
  type ClaimRequest,
  type EndedSession,
  type NewSession,
  type Store,
  StoreUnavailableError,
} from '../store/store.ts';
import type { OwnedSession } from './owned-session.ts';
import { expired, forbidden, refused, withStore } from './resume-rules.ts';

/** How the sessions of a worker become its own, and how it lets them go. */
export class Claims {
  /** Names this worker in records, for operators. */
  readonly owner = randomUUID();
  readonly #store: Store;
  readonly #tell: (sessionId: string, epoch: number) => void;

  /** @param tell tells the other workers of a claim */
  constructor(store: Store, tell: (sessionId: string, epoch: number) => void) {
    this.#store = store;
    this.#tell = tell;
  }

  /**
   * Writes the record of a new session.
   * @returns the earlier session that it ends
   * @throws GatewayError `session_exists` or `store_unavailable`
   */
  async create(session: NewSession): Promise<EndedSession | undefined> {
    const answer = await withStore(() => this.#store.create(session));
    if (answer.kind === 'stale_attempt') {
      throw new GatewayError('session_exists', 'start_transcription: a later attempt with this start_key was first.');
    }
    const { ended } = answer;
    if (ended !== undefined && ended.owner !== this.owner) this.#tell(ended.sessionId, ended.epoch);
    return ended;
  }

  /** What a client that comes back claims. */
  requestOf(request: ResumeRequest, { resumeHash }: SessionSecrets, principal: string): ClaimRequest {
    const { acked, attempt, epoch, lastEnd, lastSeq, sessionId } = request;
    const claimId = randomUUID();
    return { sessionId, claimId, principal, resumeHash, owner: this.owner, attempt, epoch, lastSeq, lastEnd, acked };
  }

  /**
   * @param local the session, if this worker has it
   * @throws GatewayError `resume_expired`, `resume_refused`, `forbidden` or `store_unavailable`
   */
  async claim(request: ClaimRequest, local: OwnedSession | undefined): Promise<ClaimedSession> {
    const claim = () => this.#store.claim(request);
    return withStore(async () => {
      failpoint('claim.before');
      let answer: ClaimAnswer = await claim();
      failpoint('claim.after');
      // The store has lost the session and its owner is here: the record is made anew, now that a client is there.
      if (answer.kind === 'unknown' && local !== undefined && !local.isGone && local.epoch >= request.epoch) {
        await local.rebuild();
        answer = await claim();
      }
      switch (answer.kind) {
        case 'claimed':
          if (answer.session.previousOwner !== this.owner) this.#tell(request.sessionId, answer.session.claim.epoch);
          return answer.session;
        case 'unknown':
          throw expired();
        case 'forbidden':
          throw forbidden();
        case 'stale_attempt':
          throw refused(answer.attempt);
        default:
          return answer satisfies never;
      }
    });
  }

  /** Commits all that a session has here and lets it go. @throws GatewayError `store_unavailable`; it goes once that is back */
  async handOver(session: OwnedSession): Promise<void> {
    const away = Promise.withResolvers<never>();
    const fail = () => away.reject(new StoreUnavailableError('the store is away while a session is handed over'));
    const stop = this.#store.onAvailability((available) => !available && fail());
    if (!this.#store.available) fail();
    try {
      await withStore(() => Promise.race([session.handOver(), away.promise]));
    } finally {
      stop();
    }
  }
}
