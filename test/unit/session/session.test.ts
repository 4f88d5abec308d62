import { describe, expect, it } from 'vitest';
import type { Engine } from '../../../src/engines/engine.ts';
import { type Script, ScriptedEngine, type ScriptStep } from '../../../src/engines/scripted/scripted-engine.ts';
import { GatewayError } from '../../../src/errors.ts';
import { createLogger } from '../../../src/log.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import { Session, type SessionEnd, type SessionGap, type SessionLimits } from '../../../src/session/session.ts';
import type { PlacedResult } from '../../../src/session/timeline.ts';
import { silence, tone } from '../../support/client.ts';

const LIMITS: SessionLimits = {
  backlogMs: 30_000,
  replayMs: 60_000,
  startTimeoutMs: 1000,
  recoveryTimeoutMs: 2000,
  flushTimeoutMs: 1000,
};

const broken = () => new GatewayError('engine_unavailable', 'reset');

function start(engine: Engine, limits: Partial<SessionLimits> = {}) {
  const results: PlacedResult[] = [];
  const gaps: SessionGap[] = [];
  const ends: SessionEnd[] = [];
  const started = Promise.withResolvers<void>();
  const session = new Session({
    id: 'test',
    request: { languageCode: 'en-US', sampleRate: 16_000, channels: 1 },
    engine,
    limits: { ...LIMITS, ...limits },
    metrics: createMetrics(),
    log: createLogger('silent'),
    sink: {
      started: () => started.resolve(),
      result: (result) => results.push(result),
      gap: (gap) => gaps.push(gap),
      ended: (end) => ends.push(end),
    },
  });
  void session.run();
  const finals = () => results.filter((r) => !r.isPartial).map((r) => [r.text, r.startSample, r.endSample]);
  return { session, started: started.promise, results, gaps, ends, finals };
}

/** The nth stream of the engine does the nth script; the last one is repeated. */
function streams(...scripts: (Script | ScriptStep[])[]): ScriptedEngine {
  return new ScriptedEngine({
    script: (nth) => {
      const script = scripts[Math.min(nth, scripts.length - 1)] ?? [];
      return Array.isArray(script) ? { steps: script } : script;
    },
  });
}

describe('Session', () => {
  it('replays the audio since the last final into a new stream when one breaks', async () => {
    const engine = streams(
      [
        { do: 'final', atSample: 8000, text: 'one' },
        { do: 'partial', atSample: 12_000, text: 'tw' },
        { do: 'fail', atSample: 15_000, error: broken() },
      ],
      // This stream begins at sample 8000 of the session.
      [
        { do: 'final', atSample: 8000, text: 'two' },
        { do: 'final', atSample: 16_000, text: 'three' },
      ],
    );
    const s = start(engine);
    s.session.push(tone(1000));
    s.session.push(tone(500));
    s.session.stop('client_stop');
    expect(await s.session.ended).toEqual({ reason: 'client_stop', samples: 24_000, finals: 3 });
    expect(s.finals()).toEqual([
      ['one', 0, 8000],
      ['two', 8000, 16_000],
      ['three', 16_000, 24_000],
    ]);
    expect(s.gaps).toEqual([]);
    expect(engine.openStreams).toBe(0);
  });

  it.each([
    ['breaks while it flushes', [{ do: 'fail', atSample: 99_999, error: broken() }]],
    ['ends early without an error', [{ do: 'end-early', atSample: 8000 }]],
  ] as const)('owes the client nothing when the engine %s', async (_name, first) => {
    const s = start(streams([...first], [{ do: 'final', atSample: 16_000, text: 'all' }]));
    s.session.push(tone(1000));
    s.session.stop('client_stop');
    expect(await s.session.ended).toMatchObject({ reason: 'client_stop', finals: 1 });
    expect(s.finals()).toEqual([['all', 0, 16_000]]);
    expect(s.gaps).toEqual([]);
  });

  it('takes audio while it recovers, without counting what is replayed against the sender', async () => {
    const engine = streams([{ do: 'fail', atSample: 16_000, error: broken() }], {
      open: { delayMs: 100 },
      steps: [{ do: 'final', atSample: 32_000, text: 'all' }],
    });
    const s = start(engine, { backlogMs: 1000 });
    await s.started;
    s.session.push(tone(1000));
    await expect.poll(() => s.session.state).toBe('recovering');
    s.session.push(tone(1000));
    expect(() => s.session.push(tone(1000))).toThrow(expect.objectContaining({ code: 'audio_rate_exceeded' }));
    s.session.stop('client_stop');
    await s.session.ended;
    expect(s.finals()).toEqual([['all', 0, 32_000]]);
  });

  it('gives up when the engine stays broken, and reports what was lost', async () => {
    const s = start(streams([{ do: 'fail', atSample: 1600, error: broken() }]), { recoveryTimeoutMs: 400 });
    s.session.push(tone(100));
    expect(await s.session.ended).toMatchObject({ reason: 'error', error: { code: 'engine_unavailable' } });
    expect(s.gaps).toEqual([{ fromSample: 0, toSample: 1600, reason: 'engine_failed' }]);
  });

  it('gives up at once when the engine rejects what a new stream would do again', async () => {
    const engine = streams([{ do: 'fail', atSample: 1600, error: new GatewayError('engine_rejected', 'no') }]);
    const s = start(engine);
    s.session.push(tone(100));
    expect(await s.session.ended).toMatchObject({ reason: 'error', error: { code: 'engine_rejected' } });
  });

  it('reports audio that was forgotten before the stream broke', async () => {
    const engine = streams(
      [{ do: 'fail', atSample: 48_000, error: broken() }],
      [{ do: 'final', atSample: 16_000, text: 'rest' }],
    );
    const s = start(engine, { replayMs: 1000 });
    await s.started;
    for (let n = 0; n < 3; n++) {
      s.session.push(tone(1000));
      await s.session.room();
    }
    await expect.poll(() => s.gaps.length).toBe(1);
    s.session.stop('client_stop');
    await s.session.ended;
    const [gap] = s.gaps;
    expect(gap).toMatchObject({ fromSample: 0, reason: 'replay_overflow' });
    expect(s.finals()).toEqual([['rest', gap?.toSample, (gap?.toSample ?? 0) + 16_000]]);
  });

  it('passes over silence for which nothing was said, so that a long pause costs no words', async () => {
    const engine = streams(
      [{ do: 'fail', atSample: 64_000, error: broken() }],
      [{ do: 'final', atSample: 16_000, text: 'rest' }],
    );
    const s = start(engine, { replayMs: 1000 });
    for (let n = 0; n < 4; n++) s.session.push(n < 3 ? silence(1000) : tone(1000));
    s.session.stop('client_stop');
    await s.session.ended;
    expect(s.gaps).toEqual([]);
    expect(s.finals()).toHaveLength(1);
  });

  it('shows no empty final, but keeps no audio that one covers', async () => {
    const engine = streams(
      [
        { do: 'final', atSample: 16_000, text: '' },
        { do: 'fail', atSample: 32_000, error: broken() },
      ],
      [{ do: 'final', atSample: 16_000, text: 'second' }],
    );
    const s = start(engine);
    s.session.push(tone(1000));
    s.session.push(tone(1000));
    s.session.stop('client_stop');
    await s.session.ended;
    expect(s.finals()).toEqual([['second', 16_000, 32_000]]);
  });

  it('refuses to start in time with an engine that does not open', async () => {
    const engine = streams({ open: { delayMs: 60_000 }, steps: [] });
    const s = start(engine, { startTimeoutMs: 50 });
    expect(await s.session.ended).toMatchObject({ error: { code: 'engine_unavailable', retryable: true } });
    expect(s.gaps).toEqual([]);
  });

  it.each([
    ['opens', { open: { delayMs: 60_000 }, steps: [] }],
    ['listens', []],
    ['hangs', [{ do: 'hang', atSample: 1 }]],
    ['recovers', [{ do: 'fail', atSample: 1, error: broken() }]],
  ] as const)('ends at once and silently when the client is gone while the engine %s', async (_name, script) => {
    const engine = streams(script as Script | ScriptStep[]);
    const s = start(engine);
    s.session.push(tone(1000));
    await new Promise(setImmediate);
    s.session.abort();
    expect(await s.session.ended).toMatchObject({ reason: 'disconnected' });
    expect(s.ends).toHaveLength(1);
    expect(engine.openStreams).toBe(0);
    s.session.abort();
  });
});
