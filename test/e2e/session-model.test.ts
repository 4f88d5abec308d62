import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { type Excuses, ModelPhone } from '../support/model-phone.ts';
import { formatAccount, isClean } from '../support/reconcile.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';
import { CUTS, type Cut } from '../support/tcp-gate.ts';
import { type StoreDump, TwoGateways } from '../support/two-gateways.ts';
import { WORKERS } from '../support/workers.ts';

/**
 * Random sequences of what can happen to a client, its connections, its gateways and their store. Whatever happens, the
 * client gets each word once, or is told that it is missing. `SESSION_MODEL_RUNS` asks for more of them than CI has
 * time for, `SESSION_MODEL_SEED` for others. With several workers it has time for fewer.
 */
const RUNS = Number(process.env.SESSION_MODEL_RUNS ?? (WORKERS > 1 ? 16 : 64));
const SEED = Number(process.env.SESSION_MODEL_SEED ?? 1);
/** Each with gateways and a Redis of its own, because they mostly wait. */
const LANES = 4;

const place = fc.constantFrom('a' as const, 'b' as const, 'same' as const);
const few = fc.nat(9);
const only = <T extends string>(name: T) => fc.constant({ do: name });

const command = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('speak' as const), chunks: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('listen' as const), events: fc.integer({ min: 1, max: 6 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('turn to' as const),
      pod: place,
      impatient: fc.constantFrom(false, false, true),
    }),
  },
  { weight: 2, arbitrary: only('settle') },
  { weight: 3, arbitrary: only('drop') },
  { weight: 2, arbitrary: only('leave open') },
  { weight: 2, arbitrary: only('deafen') },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('duplicate' as const, 'haunt' as const), which: few }) },
  { weight: 1, arbitrary: only('skip') },
  { weight: 1, arbitrary: only('pause') },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), chunks: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 1, arbitrary: only('flush') },
  { weight: 1, arbitrary: only('remember') },
  { weight: 1, arbitrary: only('roll back') },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('away' as const, 'crash' as const),
      commands: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('cut off' as const),
      pods: fc.constantFrom(['a'] as const, ['b'] as const, ['a', 'b'] as const),
      how: fc.constantFrom(...(Object.keys(CUTS) as Cut[])),
      commands: fc.integer({ min: 1, max: 6 }),
    }),
  },
  { weight: 1, arbitrary: only('expire') },
);
const history = fc.record({
  commands: fc.array(command, { minLength: 4, maxLength: 24, size: 'max' }),
  loseStop: fc.boolean(),
  lingerMs: fc.constantFrom(0, 50, 10_000),
  trims: fc.boolean(),
});
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;
type History = typeof history extends fc.Arbitrary<infer T> ? T : never;

class World {
  readonly #redis: RedisServer;
  readonly #gateways: TwoGateways;
  readonly #excuses: Excuses = { storeLost: false };
  readonly #phone: ModelPhone;
  #memory: StoreDump | undefined;
  /** Commands until Redis is back, and how it comes back. */
  #away: { commands: number; readonly back: () => unknown } | undefined;

  constructor(redis: RedisServer, gateways: TwoGateways, seed: number, trims: boolean) {
    this.#redis = redis;
    this.#gateways = gateways;
    this.#phone = new ModelPhone({ a: gateways.a.url, b: gateways.b.url }, seed, this.#excuses, trims);
  }

  /** @returns what was not as promised, and how much happened */
  async live({ commands, loseStop }: History) {
    const phone = this.#phone;
    try {
      await phone.turnTo('a');
      for (const one of commands) {
        phone.trace.push(`> ${JSON.stringify(one)}`);
        await this.#carryOut(one);
        if (this.#away !== undefined && --this.#away.commands < 0) await this.#back();
      }
      await this.#back();
      phone.trace.push('> settle and stop');
      await phone.settle();
      const account = await phone.stop(loseStop);
      const broken = isClean(account) ? phone.broken : [...phone.broken, formatAccount(account)];
      return { broken, trace: phone.trace, counts: { ...phone.counts, blocks: account.heard } };
    } finally {
      await this.#back();
      phone.close();
    }
  }

  async #back(): Promise<void> {
    const away = this.#away;
    this.#away = undefined;
    await away?.back();
  }

  async #carryOut(one: Command): Promise<void> {
    const phone = this.#phone;
    switch (one.do) {
      case 'speak':
        phone.speak(one.chunks);
        return;
      case 'listen':
        await phone.listen(one.events);
        return;
      case 'turn to':
        await phone.turnTo(one.pod, one.impatient);
        return;
      case 'settle':
        await this.#back();
        await phone.settle();
        return;
      case 'drop':
        phone.drop();
        return;
      case 'leave open':
        phone.leaveOpen();
        return;
      case 'deafen':
        phone.deafen();
        return;
      case 'duplicate':
        phone.duplicate(one.which);
        return;
      case 'haunt':
        phone.haunt(one.which);
        return;
      case 'skip':
        phone.skip();
        return;
      case 'pause':
        phone.pause();
        return;
      case 'forget':
        phone.forget(one.chunks);
        return;
      case 'away':
        await this.#back();
        await this.#redis.pause();
        this.#away = { commands: one.commands, back: () => this.#redis.unpause() };
        return;
      case 'crash':
        await this.#back();
        this.#excuses.storeLost = true;
        await this.#redis.kill();
        this.#away = { commands: one.commands, back: () => this.#redis.restart() };
        return;
      case 'cut off': {
        await this.#back();
        const gates = one.pods.map((pod) => this.#gateways[pod].redisGate);
        for (const gate of gates) CUTS[one.how](gate);
        this.#away = { commands: one.commands, back: () => gates.forEach((gate) => void gate.open()) };
        return;
      }
      case 'flush':
        if (this.#away !== undefined) return;
        this.#excuses.storeLost = true;
        await this.#gateways.flush();
        return;
      case 'remember':
        if (this.#away === undefined) this.#memory = await this.#gateways.dump();
        return;
      case 'roll back':
        if (this.#away !== undefined || this.#memory === undefined) return;
        this.#excuses.storeLost = true;
        await this.#gateways.rollBack(this.#memory);
        return;
      case 'expire':
        await this.#back();
        phone.vanish();
        // Whoever holds the session lets it go; the test's own time bounds this.
        while ((await this.#gateways.dump()).size > 0) await delay(20);
        return;
      default:
        one satisfies never;
    }
  }
}

/** Seconds of silence that the engines of two gateways were not given. */
async function trimmedSeconds({ a, b }: TwoGateways): Promise<number> {
  const sample = 'transcribe_gateway_trimmed_seconds_total{engine="coded"}';
  const [first, second] = await Promise.all([a.metric(sample), b.metric(sample)]);
  return Math.round(first + second);
}

describeWithRedis('a client of two gateways and one Redis, whatever happens to them', () => {
  const sums = new Map<string, number>();
  afterAll(() => console.log(`in ${RUNS} histories of seed ${SEED}: ${JSON.stringify(Object.fromEntries(sums))}`));
  const histories = fc.sample(history, { seed: SEED, numRuns: RUNS });

  it.concurrent.each(Array.from({ length: LANES }, (_, lane) => lane))(
    'gets each word once and in order, or is told that it is missing (part %d)',
    { timeout: 60_000 + RUNS * 10_000 },
    async (lane) => {
      const redis = await RedisServer.start();
      try {
        for (let n = lane; n < RUNS; n += LANES) {
          const one = histories[n] as History;
          const gateways = await TwoGateways.start(redis, {
            GATEWAY_SILENCE_TRIMMING_TENANTS: '*',
            // It says minutes at once, for its pauses are long.
            GATEWAY_AUDIO_SPEED: '100',
            GATEWAY_AUDIO_BURST_MS: '3600000',
            GATEWAY_BACKLOG_MS: '600000',
            GATEWAY_LINGER_MS: String(one.lingerMs),
            GATEWAY_REDIS_TIMEOUT_MS: '150',
            GATEWAY_RESUME_WINDOW_MS: one.commands.some(({ do: what }) => what === 'expire') ? '1000' : '30000',
            GATEWAY_DRAIN_TIMEOUT_MS: '100',
          });
          try {
            const { broken, counts, trace } = await new World(redis, gateways, SEED * 100_000 + n, one.trims).live(one);
            const name = `history ${n} of seed ${SEED}`;
            const trimmed = await trimmedSeconds(gateways);
            for (const [what, many] of Object.entries({ ...counts, trimmed }))
              sums.set(what, (sums.get(what) ?? 0) + many);
            expect(broken, `${name}: ${JSON.stringify(one)}\n${trace.join('\n')}`).toEqual([]);
          } finally {
            await gateways.close();
          }
        }
      } finally {
        await redis.stop();
      }
    },
  );
});
