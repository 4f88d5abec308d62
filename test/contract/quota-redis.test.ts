import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/emulator/random.ts';
import { MemoryQuota } from '../../src/store/memory-quota.ts';
import type { Ask, QuotaLedger, QuotaNote, QuotaRules } from '../../src/store/quota.ts';
import { RedisLink } from '../../src/store/redis-link.ts';
import { RedisQuota } from '../../src/store/redis-quota.ts';
import { describeWithRedis, RedisServer, startCluster } from '../support/redis.ts';
import { ask, describeQuotaContract, type QuotaFactory, RULES, short } from './quota-contract.ts';
import { SILENT } from './store-sessions.ts';

const TIMEOUT_MS = 5_000;
const HISTORIES = 40;
const STEPS = 60;

const factory =
  (open: () => RedisLink): QuotaFactory =>
  async (rules, count) => {
    const prefix = `test:${randomUUID()}:`;
    const links = Array.from({ length: count }, open);
    await Promise.all(links.map((link) => link.connected(TIMEOUT_MS)));
    return {
      ledgers: links.map((link) => new RedisQuota(link, prefix, rules)),
      close: () => {
        for (const link of links) link.close();
      },
    };
  };

describeWithRedis('on one server', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());
  const makeLedgers = factory(() =>
    RedisLink.open({ mode: 'standalone', node: server.node, db: 0 }, TIMEOUT_MS, SILENT),
  );

  describeQuotaContract('Redis', makeLedgers);

  describe('Redis and memory', () => {
    it('decide alike in random histories', async () => {
      const rules: QuotaRules = {
        ...RULES,
        lineLength: 6,
        // Time itself must not decide between them: their clocks are two.
        patienceMs: 1e9,
        entries: [
          { name: 'home', streams: 3, reserve: 1, startsPerSecond: 1_000_000 },
          { name: 'away', streams: 2, reserve: 0, startsPerSecond: 1_000_000 },
        ],
      };
      for (let seed = 1; seed <= HISTORIES; seed++) {
        const { close, ledgers } = await makeLedgers(rules, 1);
        const [redis] = ledgers;
        if (redis === undefined) throw new Error('the factory made no ledger');
        const both = [redis, new MemoryQuota(rules)];
        const random = seededRandom(seed);
        for (let step = 0; step < STEPS; step++) {
          const [ofRedis, ofMemory] = await alike(both, random, seed * 1_000 + step);
          expect(ofRedis, `seed ${seed}, step ${step}`).toEqual(ofMemory);
        }
        close();
      }
    });
  });
});

/** Makes the same random step in each ledger and gives their answers. */
async function alike(ledgers: readonly QuotaLedger[], random: () => number, age: number): Promise<unknown[]> {
  const pick = <T>(...from: T[]): T => from[Math.floor(random() * from.length)] as T;
  const session = () => pick('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j');
  const places = ['1', '2', '3', '4', '5', '6', '7'];
  if (random() < 0.6) {
    const sessions = [...new Set(Array.from({ length: 1 + Math.floor(random() * 4) }, session))];
    const asks = sessions.map(
      (sessionId, index): Ask =>
        ask(sessionId, {
          place: `${sessionId}${pick(...places)}`,
          tenant: `t${sessionId.charCodeAt(0) % 3}`,
          continuation: random() < 0.3,
          entries: pick(['home'], ['away'], ['home', 'away'], ['away', 'home']),
          // Apart by more than the clocks are, so that each is older than the next.
          waitedMs: 10_000_000 - age * 100 - index * 10,
          coolMs: pick(0, 60_000),
        }),
    );
    return Promise.all(ledgers.map(async (ledger) => (await ledger.ask(asks)).map(short)));
  }
  if (random() < 0.7) {
    const sessionId = session();
    const place = `${sessionId}${pick(...places)}`;
    const note: QuotaNote = pick<QuotaNote>(
      { kind: 'ticket', sessionId, place },
      { kind: 'slot', sessionId, place, coolMs: 0 },
    );
    return Promise.all(ledgers.map((ledger) => ledger.note([note])));
  }
  const sessionId = session();
  const slot = {
    sessionId,
    place: `${sessionId}${pick(...places)}`,
    tenant: `t${sessionId.charCodeAt(0) % 3}`,
    entry: 'away',
  };
  return Promise.all(ledgers.map((ledger) => ledger.renew('w', pick([], [slot]) === undefined ? [] : [slot])));
}

describeWithRedis('on a cluster', () => {
  let servers: RedisServer[] = [];
  beforeAll(async () => {
    servers = await startCluster();
  });
  afterAll(() => Promise.all(servers.map((server) => server.stop())));
  describeQuotaContract(
    'Redis Cluster',
    factory(() => RedisLink.open({ mode: 'cluster', nodes: servers.map(({ node }) => node) }, TIMEOUT_MS, SILENT)),
  );
});
