import { setTimeout as delay } from 'node:timers/promises';
import { seededRandom } from '../../src/emulator/random.ts';
import type { Strike } from './takeover.ts';
import { CUTS } from './tcp-gate.ts';

/** How long a gateway is cut off, in milliseconds. */
const SPLIT_MS = { min: 500, max: 3_000 };
/** How soon clients are driven elsewhere. */
const DRIVEN_AFTER_MS = 1_000;

/**
 * Cuts an owner and perhaps others off from the store, each in its own way and for its own time; meanwhile some clients
 * lose their connections, or keep them half open, and come wherever the balancer sends them.
 */
export function splits(seed: number): Strike {
  const random = seededRandom(seed);
  const isSo = (share: number) => random() < share;
  const between = ({ max, min }: typeof SPLIT_MS) => min + random() * (max - min);
  return async (pods, owner) => {
    const gates = pods.redisGates.filter((_, pod) => pod === owner || isSo(0.4));
    const over = gates.map(async (gate) => {
      const ways = Object.values(CUTS);
      ways[Math.floor(random() * ways.length)]?.(gate);
      await delay(between(SPLIT_MS));
      gate.open();
    });
    await delay(random() * DRIVEN_AFTER_MS);
    if (isSo(0.5)) pods.cut(() => isSo(0.7));
    else pods.swallow(() => isSo(0.7));
    await Promise.all(over);
  };
}
