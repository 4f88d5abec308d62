/** A phone, two gateways and one Redis, between which the network can be cut: who says what, and what stays of it. */
import { expect, vi } from 'vitest';
import { connect, emitWithAck, type TestClient } from './client.ts';
import { ModelPhone, type Said } from './model-phone.ts';
import { formatAccount, isClean } from './reconcile.ts';
import type { RedisServer } from './redis.ts';
import { CUTS, type Cut } from './tcp-gate.ts';
import { TwoGateways } from './two-gateways.ts';

export type Name = 'a' | 'b';

/** Enough audio for several utterances, in chunks. */
const SOME_CHUNKS = 12;
const SPEAK_AGAIN_MS = 1_000;
/** Not so short that a busy machine is taken for a cut network, in milliseconds. */
const REDIS_TIMEOUT_MS = '800';
/** For what a gateway does by itself, on a machine that is busy with other tests; in milliseconds. */
const PATIENCE = { timeout: 30_000, interval: 50 };

const isFinal = ({ data, event }: Said) => event === 'transcription_result' && data.is_partial === false;
export const isProvisional = (said: Said) => isFinal(said) && said.data.durable === false;
/** At once, or after it was given as provisional because the machine is slow. */
export const isCommitted = (said: Said) => said.event === 'audio_ack' || (isFinal(said) && said.data.durable !== false);

/** An entry, or the last of those that a gap stands for. */
interface Seen {
  readonly seq: number;
  readonly epoch: number;
  /** Of a gap. */
  readonly reason?: string;
  /** Of a final, and where it lies. */
  readonly text?: string;
  readonly from?: number;
  readonly to?: number;
}

export class SplitBrain {
  readonly phone: ModelPhone;
  /** Redis has lost what it held: viewers may then differ from the speaker. */
  isStoreLost = false;
  readonly #gateways: TwoGateways;
  readonly #viewers: TestClient[] = [];

  private constructor(gateways: TwoGateways, phone: ModelPhone) {
    this.#gateways = gateways;
    this.phone = phone;
  }

  /**
   * Runs a history that begins with the client at A, watched at both gateways, and ends with an account: each block of
   * audio once and in order, nothing said after a takeover, and all that is stored as the client has it.
   */
  static async run(redis: RedisServer, history: (split: SplitBrain) => Promise<void>): Promise<void> {
    const gateways = await TwoGateways.start(redis, {
      GATEWAY_DRAIN_TIMEOUT_MS: '100',
      GATEWAY_REDIS_TIMEOUT_MS: REDIS_TIMEOUT_MS,
    });
    const phone = new ModelPhone({ a: gateways.a.url, b: gateways.b.url }, 7, { storeLost: false });
    const split = new SplitBrain(gateways, phone);
    try {
      // On a slow machine the store may not answer in the short time that it is granted here.
      while (phone.session === undefined) await phone.turnTo('a');
      await split.hears('a', isCommitted);
      await split.#watch();
      await history(split);
      await split.#account();
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${phone.trace.join('\n')}`, { cause: error });
    } finally {
      phone.close();
      for (const viewer of split.#viewers) viewer.close();
      await gateways.close();
    }
  }

  /** The network between a gateway and Redis fails. */
  cut(pod: Name, how: Cut): void {
    CUTS[how](this.#gateways[pod].redisGate);
  }

  /** Resolves when the gateway has its store again. */
  async heal(pod: Name): Promise<void> {
    const { metric, redisGate } = this.#gateways[pod];
    redisGate.open();
    await vi.waitFor(async () => expect(await metric('transcribe_gateway_store_available')).toBe(1), PATIENCE);
  }

  /** The store loses all that it holds. */
  async flush(): Promise<void> {
    this.isStoreLost = true;
    await this.#gateways.flush();
  }

  /** The phone speaks until a gateway says something to it. */
  async hears(pod: Name, is: (said: Said) => boolean): Promise<void> {
    await this.#speaks(pod, (said) => !said.isGhost && is(said));
  }

  /** The phone speaks until a gateway says something to a connection that it does not listen to. */
  async overhears(pod: Name, is: (said: Said) => boolean): Promise<void> {
    await this.#speaks(pod, (said) => said.isGhost && is(said));
  }

  /** The phone takes its connection for dead, which it is not: what it says is heard there as well. */
  leaves(): void {
    this.phone.leaveOpen();
    this.phone.echoes = true;
  }

  /** The phone goes on at a gateway, with more than one attempt where the machine is slow. */
  async goesTo(pod: Name): Promise<void> {
    await vi.waitFor(async () => {
      const from = this.phone.said.length;
      await this.phone.turnTo(pod);
      expect(this.phone.said.slice(from).map(({ event }) => event)).toContain('transcription_resumed');
    }, PATIENCE);
  }

  /** A gateway holds back what only the connection has said to it that the phone does not listen to. */
  async isMisled(pod: Name): Promise<void> {
    const word = this.phone.babble();
    await this.#says(pod, (said) => isProvisional(said) && String(said.data.text).startsWith(word));
  }

  /** The phone asks a gateway that cannot know whether it may go on, and is sent away. */
  async isSentAway(pod: Name): Promise<void> {
    const from = this.phone.said.length;
    await this.phone.turnTo(pod);
    const said = this.phone.said.slice(from).filter(({ event }) => event !== 'connected');
    const refusal = { code: 'store_unavailable', retryable: true, retry_after_ms: expect.any(Number) };
    expect(said.filter((one) => one.pod === pod)).toMatchObject([{ event: 'error', data: refusal }]);
  }

  /** A gateway has none of the session. */
  async isIdle(pod: Name): Promise<void> {
    const { engine, metric } = this.#gateways[pod];
    await vi.waitFor(async () => {
      expect([await metric('transcribe_gateway_sessions'), engine.openStreams]).toEqual([0, 0]);
    }, PATIENCE);
  }

  /** An owner that was passed over says so to its old connection, and nothing after it, and lets its engine go. */
  async isFenced(pod: Name): Promise<void> {
    // Of a later claim than its own; if there were several, of any of them.
    const own = Math.max(
      ...this.phone.said.map((said) => (said.pod === pod && isFinal(said) ? Number(said.data.epoch) : 0)),
    );
    await this.#says(pod, ({ data, event, isGhost }) => isGhost && event === 'taken_over' && Number(data.epoch) > own);
    await this.isIdle(pod);
    const from = this.phone.said.length;
    await this.hears(pod === 'a' ? 'b' : 'a', isCommitted);
    const after = this.phone.said.slice(from).filter((said) => said.pod === pod);
    expect(after.filter(({ event }) => event !== 'error')).toEqual([]);
  }

  /** Waits until the record is of this epoch; the client's if it is not said. */
  async isStored(epoch = this.phone.epoch): Promise<void> {
    const { session } = this.phone;
    await vi.waitFor(async () => {
      expect(await this.#gateways.fields(session?.session_id ?? '', 'epoch')).toEqual([String(epoch)]);
    }, PATIENCE);
  }

  async #says(pod: Name, is: (said: Said) => boolean): Promise<void> {
    await vi.waitFor(() => {
      const found = this.phone.said.some((said) => said.pod === pod && is(said));
      expect(found, `${pod} says what is waited for`).toBe(true);
    }, PATIENCE);
  }

  async #speaks(pod: Name, is: (said: Said) => boolean): Promise<void> {
    const from = this.phone.said.length;
    const found = () => this.phone.said.slice(from).some((said) => said.pod === pod && is(said));
    let spokenAt = Number.NEGATIVE_INFINITY;
    await vi.waitFor(() => {
      if (performance.now() > spokenAt + SPEAK_AGAIN_MS) {
        spokenAt = performance.now();
        this.phone.speak(SOME_CHUNKS);
      }
      expect(found(), `${pod} says what is waited for`).toBe(true);
    }, PATIENCE);
  }

  async #watch(): Promise<void> {
    const { session_id, watch_token } = this.phone.session ?? {};
    for (const pod of [this.#gateways.a, this.#gateways.b]) {
      const viewer = connect(pod.url, { auth: { protocol: 2 }, transports: ['websocket'] });
      this.#viewers.push(viewer);
      await viewer.next('connected');
      const request = { session_id, watch_token, after_seq: 0 };
      // A gateway may find out only now that its connection to the store is dead, and then says so.
      await vi.waitFor(async () => {
        expect(await emitWithAck(viewer, 'watch_transcription', request)).toMatchObject({ ok: true });
      }, PATIENCE);
    }
  }

  async #account(): Promise<void> {
    const { phone } = this;
    await phone.settle();
    // Those who come now get what is stored.
    await this.#watch();
    const account = await phone.stop(false);
    console.log(formatAccount(account));
    expect(phone.broken).toEqual([]);
    expect(isClean(account)).toBe(true);
    expect([account.coveredByGap, phone.counts.sessions]).toEqual([[], 1]);
    await Promise.all(this.#viewers.map((viewer) => viewer.next('transcription_stopped')));
    for (const viewer of this.#viewers) this.#compare(viewer);
  }

  /** A viewer gets what the client was given, in order and each entry once, or is told that it is missing. */
  #compare(viewer: TestClient): void {
    const given = new Map(this.phone.given.map((one) => [one.seq, one]));
    let [last, lastEpoch] = [0, 0];
    for (const { epoch, seq, reason, ...final } of viewer.received.flatMap(seenOf)) {
      expect(epoch).toBeGreaterThanOrEqual(lastEpoch);
      // What an owner made anew that was passed over is void for the next claim.
      if (this.isStoreLost && epoch > lastEpoch) last = Math.min(last, seq - 1);
      if (reason === undefined) {
        expect(seq, 'none is missing without a gap, and none comes twice').toBe(last + 1);
        if (!this.isStoreLost) expect({ seq, ...final }).toEqual(given.get(seq));
      } else {
        expect(['not_durable', ...(this.isStoreLost ? ['journal_trimmed'] : [])]).toContain(reason);
        expect(seq).toBeGreaterThan(last);
      }
      [last, lastEpoch] = [seq, epoch];
    }
    expect(last).toBe(this.phone.given.at(-1)?.seq);
  }
}

function seenOf({ data, event }: TestClient['received'][number]): Seen[] {
  const [seq, epoch] = [Number(data.seq), Number(data.epoch)];
  if (event === 'transcription_gap') return [{ seq, epoch, reason: String(data.reason) }];
  if (event !== 'transcription_result' || data.is_partial !== false) return [];
  expect(data.durable).not.toBe(false);
  const [from, to] = [Number(data.start_sample), Number(data.end_sample)];
  return [{ seq, epoch, text: String(data.text), from, to }];
}
