import { totalmem } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';

/** How often the delay of the event loop is measured, in milliseconds; it counts into what is measured. */
const RESOLUTION_MS = 20;
const NS_PER_MS = 1e6;

/** How much is on a process. */
export interface Load {
  /** Share of the memory that it may have: of the machine or container, or of its own heap, whichever is more. */
  memory(): number;
  /** Mean time that the event loop kept a due timer waiting since the last call, in milliseconds. */
  loopDelayMs(): number;
  close(): void;
}

/** @param processes that share the machine or container */
export function loadOfThisProcess(processes: number): Load {
  // Without a limit of its own a container may have all that there is; some systems say that by a number beyond it.
  const constrained = process.constrainedMemory();
  const available = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  return {
    memory: () => {
      const { heap_size_limit: limit, used_heap_size: used } = getHeapStatistics();
      return Math.max((process.memoryUsage.rss() * processes) / available, used / limit);
    },
    loopDelayMs: () => {
      const mean = delays.count === 0 ? 0 : delays.mean / NS_PER_MS;
      delays.reset();
      return Math.max(0, mean - RESOLUTION_MS);
    },
    close: () => delays.disable(),
  };
}
