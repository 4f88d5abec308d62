import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { PodBus } from '../../src/socket/pod-bus.ts';
import { PubSub } from '../../src/store/pub-sub.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';

const TIMEOUT_MS = 300;
const entry = (seq: number) => ({ seq, startSample: seq, endSample: seq + 1, data: Buffer.from([0, 255, 123, seq]) });

describeWithRedis('messages between workers', () => {
  let redis: RedisServer;
  const closers: (() => unknown)[] = [];
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });
  afterAll(() => redis.stop());

  const open = async (isThere = true) => {
    const count = { published: 0, lost: 0 };
    const pubSub = new PubSub({ mode: 'standalone', node: redis.node, db: 0 }, TIMEOUT_MS, (isLost) => {
      count[isLost ? 'lost' : 'published']++;
    });
    const bus = new PodBus(pubSub, 'bus:');
    closers.push(
      () => pubSub.close(),
      () => bus.close(),
    );
    if (isThere) await pubSub.connected(5_000);
    return { bus, count };
  };
  const pair = async () => {
    const [from, to] = await Promise.all([open(), open()]);
    const heard: number[] = [];
    to.bus.join('s', (event) => heard.push(event.kind === 'entry' ? event.entry.seq : 0));
    return { from, to, heard };
  };
  /** Says entries until one is heard. */
  const sayUntilHeard = async (bus: PodBus, heard: readonly number[], first: number) => {
    const before = heard.length;
    const isHeard = () => heard.length > before && (heard.at(-1) ?? 0) >= first;
    for (let seq = first; !isHeard() && seq < first + 500; seq++) {
      bus.entry('s', 1, entry(seq));
      await delay(20);
    }
    expect(heard.at(-1)).toBeGreaterThanOrEqual(first);
  };

  it('arrive as they were, at the members of the room alone, those of the same worker included', async () => {
    const { from, heard, to } = await pair();
    const whole: unknown[] = [];
    from.bus.join('s', (event) => whole.push(event));
    const leave = to.bus.join('other', () => heard.push(-1));
    await sayUntilHeard(from.bus, heard, 1);
    expect(whole[0]).toEqual({ kind: 'entry', epoch: 1, entry: entry(1) });
    leave();
    from.bus.entry('other', 1, entry(99));
    from.bus.stopped('s');
    await vi.waitFor(() => expect(heard.at(-1)).toBe(0));
    expect(heard).not.toContain(-1);
  });

  it('tell all other workers who has viewers and who has claimed', async () => {
    const { from, heard, to } = await pair();
    await sayUntilHeard(from.bus, heard, 1);
    const told: unknown[] = [];
    to.bus.notify({
      watched: (id) => told.push(['watched', id]),
      claimedElsewhere: (id, epoch) => told.push(['claimed', id, epoch]),
    });
    from.bus.announce('s');
    from.bus.tellClaim('s', 4);
    await vi.waitFor(() =>
      expect(told).toEqual([
        ['watched', 's'],
        ['claimed', 's', 4],
      ]),
    );
  });

  it('are lost and counted while Redis is gone, and go on when it is back, with nothing of before', async () => {
    const { from, heard } = await pair();
    await sayUntilHeard(from.bus, heard, 1);
    await redis.kill();
    const known = heard.length;
    for (let seq = 1_000; seq < 1_020; seq++) from.bus.entry('s', 1, entry(seq));
    await vi.waitFor(() => expect(from.count.lost).toBeGreaterThanOrEqual(20));
    await redis.restart();
    await sayUntilHeard(from.bus, heard, 2_000);
    expect(heard.slice(known).every((seq) => seq >= 2_000)).toBe(true);
  });

  it('are lost and counted while Redis is silent, on a connection that is then given up', async () => {
    const { from, heard } = await pair();
    await sayUntilHeard(from.bus, heard, 1);
    await redis.pause();
    try {
      from.bus.entry('s', 1, entry(1_000));
      await vi.waitFor(() => expect(from.count.lost).toBe(1), 5_000);
      for (let seq = 1_001; seq < 1_020; seq++) from.bus.entry('s', 1, entry(seq));
      await vi.waitFor(() => expect(from.count.lost).toBe(20));
    } finally {
      await redis.unpause();
    }
    await sayUntilHeard(from.bus, heard, 2_000);
    // What the server had been given before is delivered when it wakes, and viewers tell it by its number.
    expect(heard.filter((seq) => seq > 1_000 && seq < 2_000)).toEqual([]);
  });

  it('begin when a Redis that was not there at the start comes up', async () => {
    await redis.kill();
    const [from, to] = await Promise.all([open(false), open(false)]);
    const heard: number[] = [];
    to.bus.join('s', (event) => heard.push(event.kind === 'entry' ? event.entry.seq : 0));
    from.bus.entry('s', 1, entry(1));
    await vi.waitFor(() => expect(from.count.lost).toBe(1), 5_000);
    await redis.restart();
    await sayUntilHeard(from.bus, heard, 2);
    expect(heard).not.toContain(1);
  });
});
