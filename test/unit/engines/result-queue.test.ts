import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { EngineResult } from '../../../src/engines/engine.ts';
import { ResultQueue } from '../../../src/engines/result-queue.ts';
import { GatewayError } from '../../../src/errors.ts';

function partial(resultId: string, text = 'partial'): EngineResult {
  return { resultId, isPartial: true, text, startSample: 0, endSample: 10 };
}

function final(resultId: string, text = 'final'): EngineResult {
  return { resultId, isPartial: false, text, startSample: 0, endSample: 10 };
}

function queueOf(limit = 100) {
  const onAbandoned = vi.fn<() => void>();
  const onRoom = vi.fn<() => void>();
  return { queue: new ResultQueue(limit, onAbandoned, onRoom), onAbandoned, onRoom };
}

/** What a reader gets until the end. */
async function drain(queue: ResultQueue): Promise<EngineResult[]> {
  const read: EngineResult[] = [];
  for await (const result of queue) read.push(result);
  return read;
}

const END = { done: true, value: undefined };

describe('ResultQueue', () => {
  describe('what waits for a reader', () => {
    it('keeps only the last partial of an utterance', async () => {
      const { queue } = queueOf();
      queue.push(partial('a', 'one'));
      queue.push(partial('a', 'one two'));
      queue.push(partial('a', 'one two three'));
      queue.close();
      expect(await drain(queue)).toEqual([partial('a', 'one two three')]);
    });

    it('replaces a waiting partial by the final of its utterance', async () => {
      const { queue } = queueOf();
      queue.push(partial('a'));
      queue.push(final('a'));
      queue.close();
      expect(await drain(queue)).toEqual([final('a')]);
    });

    it('keeps a partial when the next result is of another utterance', async () => {
      const { queue } = queueOf();
      queue.push(partial('a'));
      queue.push(partial('b'));
      queue.close();
      expect(await drain(queue)).toEqual([partial('a'), partial('b')]);
    });

    it('never lets a result replace a final, even one with the same id', async () => {
      const { queue } = queueOf();
      queue.push(final('a', 'one'));
      queue.push(partial('a', 'two'));
      queue.push(final('a', 'three'));
      queue.close();
      expect(await drain(queue)).toEqual([final('a', 'one'), final('a', 'three')]);
    });

    it('keeps every final in order and at most one partial of an utterance between two, whatever is pushed', async () => {
      const results = fc.array(
        fc.record({ resultId: fc.constantFrom('a', 'b', 'c'), isPartial: fc.boolean(), text: fc.string() }),
        { maxLength: 40 },
      );
      await fc.assert(
        fc.asyncProperty(results, async (given) => {
          const pushed = given.map((one): EngineResult => ({ ...one, startSample: 0, endSample: 1 }));
          const { queue } = queueOf(1);
          for (const result of pushed) queue.push(result);
          queue.close();
          // A partial shows exactly when the next result is not of its utterance.
          const shown = pushed.filter((one, at) => !one.isPartial || pushed[at + 1]?.resultId !== one.resultId);
          expect(await drain(queue)).toEqual(shown);
        }),
      );
    });

    it('goes to the reader at once, without coalescing, when one waits for each', async () => {
      const { queue } = queueOf();
      const iterator = queue[Symbol.asyncIterator]();
      for (const text of ['one', 'one two']) {
        const next = iterator.next();
        queue.push(partial('a', text));
        expect(await next).toEqual({ done: false, value: partial('a', text) });
      }
    });
  });

  describe('close', () => {
    it('ends the reader after what waits', async () => {
      const { queue } = queueOf();
      queue.push(final('a'));
      queue.push(final('b'));
      queue.close();
      expect(queue.closed).toBe(true);
      expect(await drain(queue)).toEqual([final('a'), final('b')]);
    });

    it('ends a reader that already waits', async () => {
      const { queue } = queueOf();
      const next = queue[Symbol.asyncIterator]().next();
      queue.close();
      expect(await next).toEqual(END);
    });

    it('throws its error after what waits, once, and then ends', async () => {
      const { queue } = queueOf();
      const error = new GatewayError('engine_unavailable', 'gone');
      queue.push(final('a'));
      queue.close(error);
      const iterator = queue[Symbol.asyncIterator]();
      expect(await iterator.next()).toEqual({ done: false, value: final('a') });
      await expect(iterator.next()).rejects.toBe(error);
      expect(await iterator.next()).toEqual(END);
    });

    it('throws its error to a reader that already waits', async () => {
      const { queue } = queueOf();
      const error = new GatewayError('engine_unavailable', 'gone');
      const next = queue[Symbol.asyncIterator]().next();
      queue.close(error);
      await expect(next).rejects.toBe(error);
    });

    it('ends after its error was thrown to a reader that already waited', async () => {
      const { queue } = queueOf();
      const iterator = queue[Symbol.asyncIterator]();
      const next = iterator.next();
      queue.close(new GatewayError('engine_unavailable', 'gone'));
      await next.catch(() => undefined);
      expect(await iterator.next()).toEqual(END);
    });

    it('is decided by the first call when there are several', async () => {
      const { queue } = queueOf();
      queue.close();
      queue.close(new Error('too late'));
      expect(await drain(queue)).toEqual([]);
    });

    it('makes later results be ignored', async () => {
      const { queue } = queueOf();
      expect(queue.closed).toBe(false);
      queue.close();
      queue.push(final('a'));
      expect(await drain(queue)).toEqual([]);
    });
  });

  describe('discard', () => {
    it('forgets what waits and ends the reader', async () => {
      const { queue } = queueOf();
      queue.push(final('a'));
      queue.discard();
      queue.push(final('b'));
      expect(queue.closed).toBe(true);
      expect(await drain(queue)).toEqual([]);
    });

    it('ends a reader that already waits', async () => {
      const { queue } = queueOf();
      const next = queue[Symbol.asyncIterator]().next();
      queue.discard();
      expect(await next).toEqual(END);
    });

    it('forgets an error that waits for its reader', async () => {
      const { queue } = queueOf();
      queue.push(final('a'));
      queue.close(new Error('never told'));
      queue.discard();
      expect(await drain(queue)).toEqual([]);
    });
  });

  describe('the reader', () => {
    it('is refused when another already waits, and the first still gets the result', async () => {
      const { queue } = queueOf();
      const first = queue[Symbol.asyncIterator]().next();
      await expect(queue[Symbol.asyncIterator]().next()).rejects.toThrow('single reader');
      queue.push(final('a'));
      expect(await first).toEqual({ done: false, value: final('a') });
    });

    it('is told of as abandoned when it leaves its loop early', async () => {
      const { queue, onAbandoned } = queueOf();
      queue.push(final('a'));
      queue.push(final('b'));
      for await (const result of queue) {
        expect(result).toEqual(final('a'));
        expect(onAbandoned).not.toHaveBeenCalled();
        break;
      }
      expect(onAbandoned).toHaveBeenCalledOnce();
    });

    it('is not told of as abandoned when it reads to the end or to an error', async () => {
      const ended = queueOf();
      ended.queue.close();
      await drain(ended.queue);
      const broken = queueOf();
      broken.queue.close(new Error('gone'));
      await expect(drain(broken.queue)).rejects.toThrow('gone');
      expect(ended.onAbandoned).not.toHaveBeenCalled();
      expect(broken.onAbandoned).not.toHaveBeenCalled();
    });
  });

  describe('room', () => {
    it('is there until as many results wait as the limit says', () => {
      const { queue } = queueOf(2);
      expect(queue.hasRoom).toBe(true);
      queue.push(final('a'));
      expect(queue.hasRoom).toBe(true);
      queue.push(final('b'));
      expect(queue.hasRoom).toBe(false);
    });

    it('is not taken by partials that replace each other', () => {
      const { queue } = queueOf(2);
      for (const text of ['one', 'two', 'three']) queue.push(partial('a', text));
      expect(queue.hasRoom).toBe(true);
    });

    it('is told of once, when a read brings the queue below its limit', async () => {
      const { queue, onRoom } = queueOf(2);
      for (const id of ['a', 'b', 'c']) queue.push(final(id));
      const iterator = queue[Symbol.asyncIterator]();
      await iterator.next();
      expect(onRoom).not.toHaveBeenCalled();
      await iterator.next();
      expect(onRoom).toHaveBeenCalledOnce();
      expect(queue.hasRoom).toBe(true);
      await iterator.next();
      expect(onRoom).toHaveBeenCalledOnce();
    });

    it('is not told of when there was room all the time', async () => {
      const { queue, onRoom } = queueOf(2);
      queue.push(final('a'));
      queue.close();
      await drain(queue);
      expect(onRoom).not.toHaveBeenCalled();
    });
  });
});
