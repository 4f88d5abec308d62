import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { EngineStreamOptions } from '../../../src/engines/engine.ts';
import { ScriptedEngine, type ScriptStep } from '../../../src/engines/scripted/scripted-engine.ts';
import { GatewayError } from '../../../src/errors.ts';
import { type LinePlace, NoStreamError } from '../../../src/limits/applicant.ts';
import { createLogger } from '../../../src/log.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import { Session } from '../../../src/session/session.ts';
import type { SessionEnd, SessionGap, SessionLimits } from '../../../src/session/session-options.ts';
import { silence, tone } from '../../support/client.ts';

const LIMITS: SessionLimits = {
  backlogMs: 30_000,
  replayMs: 60_000,
  startTimeoutMs: 150,
  recoveryTimeoutMs: 400,
  flushTimeoutMs: 300,
  parkAfterMs: 10_000,
  stallTimeoutMs: 10_000,
  catchUpSpeed: 2,
};

/** An engine whose streams have to be waited for: each until the test lets it be, or for ever. */
class QueuedEngine extends ScriptedEngine {
  readonly #turns: PromiseWithResolvers<void>[] = [];

  turn(nth: number): PromiseWithResolvers<void> {
    this.#turns[nth] ??= Promise.withResolvers<void>();
    return this.#turns[nth];
  }

  readonly opened: number[] = [];

  override async open(options: EngineStreamOptions, signal: AbortSignal) {
    const nth = this.opened.push(0) - 1;
    options.applicant?.queued({ position: 1, etaMs: undefined });
    const aborted = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    try {
      await Promise.race([this.turn(nth).promise, aborted]);
    } finally {
      options.applicant?.queued(undefined);
    }
    return super.open(options, signal);
  }
}

function start(steps: readonly (readonly ScriptStep[])[], limits: Partial<SessionLimits> = {}) {
  const engine = new QueuedEngine({ script: (nth) => ({ steps: [...(steps[nth] ?? [])] }) });
  const told: (LinePlace | 'started' | undefined)[] = [];
  const gaps: SessionGap[] = [];
  const finals: string[] = [];
  const ends: SessionEnd[] = [];
  const session = new Session({
    id: 'test',
    request: { languageCode: 'en-US', sampleRate: 16_000, channels: 1 },
    engine,
    limits: { ...LIMITS, ...limits },
    metrics: createMetrics(),
    log: createLogger('silent'),
    sink: {
      started: () => told.push('started'),
      queued: (place) => told.push(place),
      result: (result) => !result.isPartial && finals.push(result.text),
      gap: (gap) => gaps.push(gap),
      ended: (end) => ends.push(end),
    },
  });
  void session.run();
  return { session, engine, told, gaps, finals, ends };
}

const ONE: ScriptStep[] = [{ do: 'final', atSample: 8_000, text: 'one' }];
const PLACE = { position: 1, etaMs: undefined };

/** Longer than the engine may take to open a stream, and than a session tries to open another. */
const LONG_MS = LIMITS.recoveryTimeoutMs * 10;

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => vi.useRealTimers());

it('waits in the line for longer than an engine may take to open a stream', async () => {
  const { engine, finals, session, told } = start([ONE]);
  session.push(tone(500));
  await vi.advanceTimersByTimeAsync(LONG_MS);
  engine.turn(0).resolve();
  await vi.waitFor(() => expect(told).toEqual([PLACE, undefined, 'started']));
  session.stop('client_stop');
  expect(await session.ended).toMatchObject({ reason: 'client_stop', finals: 1 });
  expect(finals).toEqual(['one']);
});

it('waits with another stream for longer than it tries to open one, and says again that it has started', async () => {
  const broken = new GatewayError('engine_unavailable', 'reset');
  const { engine, finals, session, told } = start([
    [
      { do: 'final', atSample: 8_000, text: 'one' },
      { do: 'fail', atSample: 9_600, error: broken },
    ],
    [{ do: 'final', atSample: 8_000, text: 'two' }],
  ]);
  engine.turn(0).resolve();
  session.push(tone(1_000));
  await vi.waitFor(() => expect(engine.opened.length).toBe(2));
  await vi.advanceTimersByTimeAsync(LONG_MS);
  expect(session.state).toBe('reopening');
  engine.turn(1).resolve();
  await vi.waitFor(() => expect(told).toEqual([PLACE, undefined, 'started', PLACE, undefined, 'started']));
  session.stop('client_stop');
  await session.ended;
  expect(finals).toEqual(['one', 'two']);
});

it('fails at once with what the line has said, and tries no other stream', async () => {
  const { engine, ends, session } = start([ONE, ONE]);
  engine.turn(0).resolve();
  session.push(tone(500));
  await vi.waitFor(() => expect(session.state).toBe('live'));
  session.park();
  await vi.waitFor(() => expect(session.state).toBe('parked'));
  engine.turn(1).reject(new NoStreamError('none'));
  session.push(tone(500));
  await session.ended;
  expect(ends).toMatchObject([{ reason: 'error', error: { code: 'quota_exhausted' } }]);
  expect(engine.opened).toHaveLength(2);
});

it('ends at once when it is stopped in the line and owes no words', async () => {
  const { gaps, session } = start([ONE], { flushTimeoutMs: 60_000 });
  session.push(silence(500));
  session.stop('client_stop');
  await vi.advanceTimersByTimeAsync(0);
  expect(await session.ended).toEqual({ reason: 'client_stop', samples: 8_000, finals: 0 });
  expect(gaps).toEqual([]);
});

it('is transcribed when it is stopped in the line and the line moves', async () => {
  const { engine, finals, session } = start([ONE], { flushTimeoutMs: 60_000 });
  session.push(tone(500));
  session.stop('client_stop');
  engine.turn(0).resolve();
  expect(await session.ended).toMatchObject({ reason: 'client_stop', finals: 1 });
  expect(finals).toEqual(['one']);
});

it('says what is lost when it is stopped in the line and the line does not move', async () => {
  const { gaps, session } = start([ONE]);
  session.push(tone(500));
  session.stop('client_stop');
  await vi.advanceTimersByTimeAsync(LIMITS.flushTimeoutMs);
  expect(await session.ended).toEqual({ reason: 'client_stop', samples: 8_000, finals: 0 });
  expect(gaps).toEqual([{ fromSample: 0, toSample: 8_000, reason: 'engine_failed' }]);
});

it('ends with draining when its gateway goes while it waits', async () => {
  const { ends, session } = start([ONE]);
  session.push(silence(500));
  session.stop('draining');
  await vi.advanceTimersByTimeAsync(0);
  await session.ended;
  expect(ends).toMatchObject([{ reason: 'error', error: { code: 'draining' } }]);
});
