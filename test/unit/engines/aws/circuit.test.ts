import { setImmediate as settled } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Circuit } from '../../../../src/engines/aws/circuit.ts';
import { AwsFailure, type FailureKind } from '../../../../src/engines/aws/failures.ts';

const NEVER = new AbortController().signal;
/** Longer than the longest pause of a circuit. */
const LATER_MS = 10_000;

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }));
afterEach(() => void vi.useRealTimers());

function start() {
  const states: string[] = [];
  const circuit = new Circuit((state) => states.push(state));
  return {
    circuit,
    states,
    fail: (kind: FailureKind) => circuit.run(() => Promise.reject(new AwsFailure(kind)), NEVER).catch(() => undefined),
    succeed: () => circuit.run(async () => 'stream', NEVER),
  };
}

async function times(count: number, action: () => unknown): Promise<void> {
  for (let n = 0; n < count; n += 1) await action();
}

describe('Circuit', () => {
  it.each<FailureKind>(['quota', 'unavailable', 'access_denied'])(
    'sets the entry aside after five failures in a row: %s',
    async (kind) => {
      const { circuit, fail, succeed, states } = start();
      await times(4, () => fail(kind));
      expect(circuit.state).toBe('closed');
      await fail(kind);
      expect(circuit.state).toBe('open');
      expect(await succeed()).toBeUndefined();
      expect(circuit.lastFailure?.message).toBe(new AwsFailure(kind).message);
      expect(states).toEqual(['open']);
    },
  );

  it.each<FailureKind>(['rejected', 'conflict', 'too_old', 'no_audio'])('does not count %s', async (kind) => {
    const { circuit, fail } = start();
    await times(20, () => fail(kind));
    await times(20, () => circuit.broke(new AwsFailure(kind)));
    expect(circuit.state).toBe('closed');
  });

  it('does not count what the caller gave up', async () => {
    const { circuit } = start();
    for (let n = 0; n < 20; n += 1) {
      const controller = new AbortController();
      const running = circuit.run(() => new Promise(() => undefined), controller.signal);
      controller.abort();
      await expect(running).rejects.toThrow();
    }
    expect(circuit.state).toBe('closed');
  });

  it('begins to count anew when a stream opens', async () => {
    const { circuit, fail, succeed } = start();
    for (let round = 0; round < 3; round += 1) {
      await times(4, () => fail('unavailable'));
      expect(await succeed()).toBe('stream');
    }
    expect(circuit.state).toBe('closed');
  });

  it('counts streams that break without words between them, though all of them open', async () => {
    const { circuit, succeed } = start();
    for (let round = 0; round < 5; round += 1) {
      expect(circuit.state).toBe('closed');
      await succeed();
      circuit.broke(new AwsFailure('broken'));
      await settled();
    }
    expect(circuit.state).toBe('open');
  });

  it('forgives breaks when a stream gives words', async () => {
    const { circuit } = start();
    for (let round = 0; round < 20; round += 1) {
      circuit.broke(new AwsFailure('broken'));
      circuit.heard();
    }
    await settled();
    expect(circuit.state).toBe('closed');
  });

  it('is tried again after a pause, one call first, and the others wait for its outcome', async () => {
    const { circuit, fail, states } = start();
    await times(5, () => fail('unavailable'));
    vi.setSystemTime(Date.now() + LATER_MS);
    const trial = Promise.withResolvers<string>();
    let calls = 0;
    const open = () => {
      calls += 1;
      return trial.promise;
    };
    const running = [circuit.run(open, NEVER), circuit.run(open, NEVER)];
    expect(circuit.state).toBe('half_open');
    expect(calls).toBe(1);
    trial.resolve('stream');
    expect(await Promise.all(running)).toEqual(['stream', 'stream']);
    expect(states).toEqual(['open', 'half_open', 'closed']);
  });

  it('is set aside again when the trial fails', async () => {
    const { circuit, fail } = start();
    await times(5, () => fail('unavailable'));
    vi.setSystemTime(Date.now() + LATER_MS);
    await fail('unavailable');
    expect(circuit.state).toBe('open');
  });

  it('lets a caller go that gives up while it waits for the outcome', async () => {
    const { circuit, fail } = start();
    await times(5, () => fail('unavailable'));
    vi.setSystemTime(Date.now() + LATER_MS);
    void circuit.run(() => new Promise(() => undefined), NEVER);
    const controller = new AbortController();
    const waiting = circuit.run(async () => 'stream', controller.signal);
    controller.abort();
    await expect(waiting).rejects.toThrow(/abort/);
  });
});
