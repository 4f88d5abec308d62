import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Engine } from '../../../src/engines/engine.ts';
import { type Script, ScriptedEngine, type ScriptStep } from '../../../src/engines/scripted/scripted-engine.ts';
import { GatewayError } from '../../../src/errors.ts';
import { createLogger } from '../../../src/log.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import type { StartRequest } from '../../../src/protocol/start-request.ts';
import { Session } from '../../../src/session/session.ts';
import type { SessionEnd, SessionGap, SessionLimits } from '../../../src/session/session-options.ts';
import type { PlacedResult } from '../../../src/session/timeline.ts';
import { silence, tone } from '../../support/client.ts';

const LIMITS: SessionLimits = {
  backlogMs: 30_000,
  replayMs: 60_000,
  startTimeoutMs: 1000,
  recoveryTimeoutMs: 2000,
  flushTimeoutMs: 1000,
  parkAfterMs: 10_000,
  stallTimeoutMs: 10_000,
  catchUpSpeed: 2,
};

const broken = () => new GatewayError('engine_unavailable', 'reset');

function start(
  engine: Engine,
  limits: Partial<SessionLimits> = {},
  request: Partial<StartRequest> = {},
  admitted?: Promise<unknown>,
) {
  const results: PlacedResult[] = [];
  const gaps: SessionGap[] = [];
  const ends: SessionEnd[] = [];
  const started = Promise.withResolvers<void>();
  const metrics = createMetrics();
  const session = new Session({
    id: 'test',
    request: { languageCode: 'en-US', sampleRate: 16_000, channels: 1, ...request },
    engine,
    limits: { ...LIMITS, ...limits },
    metrics,
    log: createLogger('silent'),
    sink: {
      started: () => started.resolve(),
      queued: () => undefined,
      result: (result) => results.push(result),
      gap: (gap) => gaps.push(gap),
      ended: (end) => ends.push(end),
    },
  });
  void session.run(admitted);
  const finals = () => results.filter((r) => !r.isPartial).map((r) => [r.text, r.startSample, r.endSample]);
  return { session, metrics, started: started.promise, results, gaps, ends, finals };
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
  it('says nothing of audio that came before it was refused, also if it was stopped meanwhile', async () => {
    const admitted = Promise.withResolvers<void>();
    const s = start(streams([]), {}, {}, admitted.promise);
    s.session.push(tone(500));
    s.session.stop('client_stop');
    admitted.reject(new GatewayError('session_exists', 'Another start was first.'));
    expect(await s.session.ended).toMatchObject({ reason: 'error', error: { code: 'session_exists' } });
    expect(s.gaps).toEqual([]);
  });

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

  it.each([
    ['is stopped', (s: ReturnType<typeof start>) => s.session.stop('client_stop'), {}],
    ['parks', () => undefined, { parkAfterMs: 50 }],
  ] as const)('gives words again whose final is missing when the session %s', async (_name, act, limits) => {
    // A server that shuts down ends its answer in good order, in the middle of an utterance.
    const engine = streams(
      [
        { do: 'final', atSample: 4000, text: 'one' },
        { do: 'partial', atSample: 8000, text: 'tw' },
        { do: 'end-early', atSample: 99_999 },
      ],
      [{ do: 'final', atSample: 12_000, text: 'two' }],
    );
    const s = start(engine, limits);
    s.session.push(tone(1000));
    act(s);
    await expect
      .poll(() => s.finals())
      .toEqual([
        ['one', 0, 4000],
        ['two', 4000, 16_000],
      ]);
    s.session.stop('client_stop');
    expect(await s.session.ended).toMatchObject({ reason: 'client_stop', finals: 2 });
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
    await expect.poll(() => s.session.state).toBe('reopening');
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

  it('answers every break of a stream that made progress, however long it lived', async () => {
    // Each stream finalises a second and breaks; together they take far longer than the budget.
    const engine = streams([
      { do: 'final', atSample: 16_000, text: 'word' },
      { do: 'delay', atSample: 16_000, ms: 60 },
      { do: 'fail', atSample: 16_000, error: broken() },
    ]);
    const s = start(engine, { recoveryTimeoutMs: 100 });
    for (let n = 0; n < 6; n++) s.session.push(tone(1000));
    s.session.stop('client_stop');
    expect(await s.session.ended).toMatchObject({ reason: 'client_stop', finals: 6 });
    expect(s.gaps).toEqual([]);
  });

  it('answers the first breaks of streams that lived longer than the budget without a word', async () => {
    const silentThenBroken: ScriptStep[] = [
      { do: 'delay', atSample: 1600, ms: 150 },
      { do: 'fail', atSample: 1600, error: broken() },
    ];
    const engine = streams(silentThenBroken, silentThenBroken, silentThenBroken, [
      { do: 'final', atSample: 16_000, text: 'word' },
    ]);
    const s = start(engine, { recoveryTimeoutMs: 100 });
    s.session.push(tone(1000));
    s.session.stop('client_stop');
    expect(await s.session.ended).toMatchObject({ reason: 'client_stop', finals: 1 });
  });

  it('gives the first breaks the whole budget, also when the stream lived longer without a final', async () => {
    // A speech of half a minute without a pause, and then the engine is away for longer than one attempt takes.
    const away: Script = { open: { error: broken() }, steps: [] };
    const engine = streams(
      [
        { do: 'partial', atSample: 1600, text: 'wo' },
        { do: 'delay', atSample: 1600, ms: 600 },
        { do: 'fail', atSample: 1600, error: broken() },
      ],
      away,
      away,
      [{ do: 'final', atSample: 16_000, text: 'word' }],
    );
    const s = start(engine, { recoveryTimeoutMs: 500 });
    await s.started;
    s.session.push(tone(1000));
    s.session.stop('client_stop');
    expect(await s.session.ended).toMatchObject({ reason: 'client_stop', finals: 1 });
    expect(s.gaps).toEqual([]);
  });

  it('is not idle while it catches up, however long an engine makes that last', async () => {
    const engine = new ScriptedEngine({
      capabilities: { realTime: true },
      script: () => ({ steps: [{ do: 'delay', atSample: 16_000, ms: 700 }] }),
    });
    const s = start(engine, { catchUpSpeed: 2 });
    await s.started;
    s.session.push(tone(10_000));
    let idleMs = 0;
    for (let looks = 0; looks < 40; looks++) {
      await delay(50);
      idleMs = Math.max(idleMs, s.session.idleMs(performance.now()));
    }
    expect(idleMs).toBeLessThan(1_000);
    s.session.abort();
  });

  it('changes streams before a short age limit, too, and does not find them ended', async () => {
    const engine = new ScriptedEngine({
      capabilities: { maxStreamMs: 2_500 },
      script: () => ({
        steps: [
          { do: 'partial', atSample: 1600, text: 'wo' },
          { do: 'delay', atSample: 1600, ms: 2_800 },
          { do: 'fail', atSample: 1600, error: broken() },
        ],
      }),
    });
    const s = start(engine);
    s.session.push(tone(1000));
    const ends = async () => (await s.metrics.engineStreamEndsTotal.get()).values.map(({ labels }) => labels.how);
    await expect.poll(ends, { timeout: 5_000 }).toEqual(['retired']);
    s.session.abort();
    await s.session.ended;
  });

  it('ends a session that was drained before its first stream opened with an error, not with a gap', async () => {
    const s = start(streams({ open: { delayMs: 60_000 }, steps: [] }));
    s.session.push(tone(100));
    s.session.stop('draining');
    s.session.giveUp();
    expect(await s.session.ended).toMatchObject({ reason: 'error', error: { code: 'draining' } });
    expect(s.gaps).toEqual([]);
  });

  it('leaves no stream open whenever it is aborted around an open', async () => {
    for (let microtasks = 0; microtasks < 12; microtasks++) {
      const engine = streams([]);
      const s = start(engine);
      for (let n = 0; n < microtasks; n++) await Promise.resolve();
      s.session.abort();
      expect(await s.session.ended).toMatchObject({ reason: 'disconnected' });
      expect(engine.openStreams).toBe(0);
    }
  });
});

describe('a session without audio', () => {
  const PARKING = { parkAfterMs: 50 };

  it('parks its stream with all finals, and goes on with another on the same timeline', async () => {
    const engine = streams(
      [{ do: 'final', atSample: 8000, text: 'before' }],
      [{ do: 'final', atSample: 16_000, text: 'after' }],
    );
    const s = start(engine, PARKING);
    s.session.push(tone(500));
    await expect.poll(() => s.session.state).toBe('parked');
    expect(engine.openStreams).toBe(0);
    expect(s.finals()).toEqual([['before', 0, 8000]]);
    s.session.push(tone(1000));
    s.session.stop('client_stop');
    expect(await s.session.ended).toMatchObject({ reason: 'client_stop', samples: 24_000, finals: 2 });
    expect(s.finals()).toEqual([
      ['before', 0, 8000],
      ['after', 8000, 24_000],
    ]);
  });

  it('gives the next stream the end of the pause again, but never what a final covers', async () => {
    const given: number[] = [];
    const engine = streams(
      [{ do: 'final', atSample: 16_000, text: 'before' }],
      [{ do: 'final', atSample: 9600, text: 'after' }],
    );
    const s = start(listening(engine, given), PARKING);
    for (const audio of [tone(1000), silence(300)]) s.session.push(audio);
    await expect.poll(() => s.session.state).toBe('parked');
    s.session.push(tone(300));
    s.session.stop('client_stop');
    await s.session.ended;
    // 300 ms of the pause, which is less than the pre-roll, and the 300 ms that came after it.
    expect(given).toEqual([20_800, 9600]);
    expect(s.finals()).toEqual([
      ['before', 0, 16_000],
      ['after', 16_000, 25_600],
    ]);
  });

  it('ends without another stream when it is stopped while parked', async () => {
    const engine = streams([{ do: 'final', atSample: 8000, text: 'all' }]);
    const s = start(engine, PARKING);
    s.session.push(tone(500));
    await expect.poll(() => s.session.state).toBe('parked');
    s.session.stop('client_stop');
    expect(await s.session.ended).toMatchObject({ reason: 'client_stop', finals: 1 });
  });

  it('ends at once when its client leaves while parked', async () => {
    const s = start(streams([]), PARKING);
    await expect.poll(() => s.session.state).toBe('parked');
    s.session.abort();
    expect(await s.session.ended).toMatchObject({ reason: 'disconnected' });
  });

  it('loses nothing when the stream breaks while it parks', async () => {
    const engine = streams(
      [{ do: 'fail', atSample: 99_999, error: broken() }],
      [{ do: 'final', atSample: 8000, text: 'all' }],
    );
    const s = start(engine, PARKING);
    s.session.push(tone(500));
    await expect.poll(() => s.finals()).toEqual([['all', 0, 8000]]);
    s.session.stop('client_stop');
    await s.session.ended;
  });

  it('does not reopen a stream that breaks when all its audio is covered', async () => {
    const engine = streams([
      { do: 'final', atSample: 8000, text: 'all' },
      { do: 'fail', atSample: 8000, error: broken() },
    ]);
    const s = start(engine);
    s.session.push(tone(500));
    await expect.poll(() => s.session.state).toBe('parked');
    s.session.stop('client_stop');
    expect(await s.session.ended).toMatchObject({ finals: 1 });
  });

  it('parks in time for an engine that ends silent streams itself', async () => {
    const engine = new ScriptedEngine({ capabilities: { maxSilenceMs: 60 }, script: () => ({ steps: [] }) });
    const s = start(engine);
    await expect.poll(() => s.session.state, { timeout: 500 }).toBe('parked');
    s.session.abort();
    await s.session.ended;
  });
});

describe('a session that outlives its streams', () => {
  it('changes streams near the age limit right after a final, and doubles nothing', async () => {
    const engine = new ScriptedEngine({
      capabilities: { maxStreamMs: 200 },
      script: () => ({ steps: everySecond() }),
    });
    const opened: number[] = [];
    const s = start(listening(engine, opened));
    const begin = performance.now();
    let seconds = 0;
    while (performance.now() - begin < 700) {
      s.session.push(tone(1000));
      seconds++;
      await s.session.room();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    s.session.stop('client_stop');
    expect(await s.session.ended).toMatchObject({ reason: 'client_stop', finals: seconds });
    expect(opened.length).toBeGreaterThan(2);
    expect(s.finals().map(([, from, to]) => [from, to])).toEqual(
      Array.from({ length: seconds }, (_, n) => [n * 16_000, (n + 1) * 16_000]),
    );
    expect(s.gaps).toEqual([]);
  });

  it('does not wait for a quiet moment beyond the limit', async () => {
    const engine = new ScriptedEngine({
      capabilities: { maxStreamMs: 200 },
      script: (nth) => ({
        steps:
          nth === 0
            ? [{ do: 'partial', atSample: 1600, text: 'wo' }]
            : [{ do: 'final', atSample: 16_000, text: 'word' }],
      }),
    });
    const s = start(engine);
    s.session.push(tone(1000));
    await expect.poll(() => s.finals()).toEqual([['word', 0, 16_000]]);
    s.session.stop('client_stop');
    await s.session.ended;
  });
});

describe('a session whose engine says nothing', () => {
  it('replaces a stream that does not answer for audible audio', async () => {
    const engine = streams([], [{ do: 'final', atSample: 16_000, text: 'word' }]);
    const s = start(engine, { stallTimeoutMs: 50 });
    s.session.push(tone(1000));
    await expect.poll(() => s.finals()).toEqual([['word', 0, 16_000]]);
    s.session.stop('client_stop');
    await s.session.ended;
  });

  it('expects no answer for silence', async () => {
    const engine = streams([]);
    const opened: number[] = [];
    const s = start(listening(engine, opened), { stallTimeoutMs: 20, flushTimeoutMs: 200 });
    s.session.push(silence(1000));
    await new Promise((resolve) => setTimeout(resolve, 100));
    s.session.stop('client_stop');
    await s.session.ended;
    expect(opened).toHaveLength(1);
  });

  it('saves the last words from an engine that hangs on the flush once', async () => {
    const engine = streams([{ do: 'hang', atSample: 1 }], [{ do: 'final', atSample: 16_000, text: 'word' }]);
    const s = start(engine, { flushTimeoutMs: 50 });
    s.session.push(tone(1000));
    s.session.stop('client_stop');
    expect(await s.session.ended).toMatchObject({ reason: 'client_stop', finals: 1 });
    expect(s.gaps).toEqual([]);
  });

  it('gives up an engine that hangs twice, and says what is lost', async () => {
    const s = start(streams([{ do: 'hang', atSample: 1 }]), { flushTimeoutMs: 50 });
    s.session.push(tone(1000));
    s.session.stop('client_stop');
    expect(await s.session.ended).toMatchObject({ reason: 'client_stop', finals: 0 });
    expect(s.gaps).toEqual([{ fromSample: 0, toSample: 16_000, reason: 'engine_failed' }]);
  });

  it('keeps no audio that the engine answered for without a word, once words would have shown', async () => {
    // An empty partial says that the engine listens.
    const engine = new ScriptedEngine({
      capabilities: { settleMs: 20 },
      script: (nth) => ({
        steps:
          nth === 0
            ? [
                { do: 'partial', atSample: 16_000, text: '' },
                { do: 'delay', atSample: 16_000, ms: 60 },
                { do: 'fail', atSample: 16_000, error: broken() },
              ]
            : [{ do: 'final', atSample: 320, text: 'rest' }],
      }),
    });
    const given: number[] = [];
    const s = start(listening(engine, given));
    s.session.push(tone(500));
    await expect.poll(() => given[0]).toBe(8000);
    await new Promise((resolve) => setTimeout(resolve, 40));
    s.session.push(tone(500));
    s.session.stop('client_stop');
    await s.session.ended;
    expect(s.finals()).toEqual([['rest', 16_000 - 320, 16_000]]);
  });

  it('keeps the audio of words that come right behind an answer without a word', async () => {
    // Results that were held up on their way come all at once, the oldest first: the first of them knows of no word yet.
    const engine = new ScriptedEngine({
      capabilities: { settleMs: 20 },
      script: (nth) => ({
        steps:
          nth === 0
            ? [
                { do: 'partial', atSample: 16_000, text: '' },
                { do: 'partial', atSample: 16_000, fromSample: 4000, text: 'wo' },
                { do: 'delay', atSample: 16_000, ms: 60 },
                { do: 'fail', atSample: 16_000, error: broken() },
              ]
            : [{ do: 'final', atSample: 16_000, text: 'word' }],
      }),
    });
    const given: number[] = [];
    const s = start(listening(engine, given));
    s.session.push(tone(500));
    await expect.poll(() => given[0]).toBe(8000);
    await new Promise((resolve) => setTimeout(resolve, 40));
    s.session.push(tone(500));
    s.session.stop('client_stop');
    await s.session.ended;
    expect(s.finals()).toEqual([['word', 0, 16_000]]);
  });
});

describe('a session with two channels', () => {
  it('gives each channel again only what it has not finalised, on one timeline', async () => {
    const audio: Buffer[] = [];
    const engine = new ScriptedEngine({
      capabilities: { features: ['channels'] },
      script: (nth) => ({
        steps:
          nth === 0
            ? [
                { do: 'final', atSample: 6000, fromSample: 0, text: 'left', channel: 0 },
                { do: 'final', atSample: 2000, fromSample: 0, text: 'right', channel: 1 },
                { do: 'fail', atSample: 8000, error: broken() },
              ]
            : [
                { do: 'final', atSample: 6000, fromSample: 4000, text: 'more left', channel: 0 },
                { do: 'final', atSample: 6000, fromSample: 0, text: 'more right', channel: 1 },
              ],
      }),
    });
    const s = start(recording(engine, audio), {}, { channels: 2 });
    // A second of mono audio is half a second of two channels.
    const spoken = tone(1000, 1000);
    s.session.push(spoken);
    s.session.stop('client_stop');
    expect(await s.session.ended).toMatchObject({ samples: 8000, finals: 4 });
    const again = audio[1] ?? Buffer.alloc(0);
    const expected = Buffer.from(spoken.subarray(2000 * 4));
    for (let frame = 0; frame < 4000; frame++) expected.writeInt16LE(0, frame * 4);
    expect(again.equals(expected)).toBe(true);
    expect(s.results.filter((r) => !r.isPartial).map((r) => [r.channel, r.startSample, r.endSample])).toEqual([
      [0, 0, 6000],
      [1, 0, 2000],
      [0, 6000, 8000],
      [1, 2000, 8000],
    ]);
  });
});

/** The engine, with all that each of its streams was given. */
function recording(engine: Engine, audio: Buffer[]): Engine {
  return tapped(engine, () => {
    const nth = audio.push(Buffer.alloc(0)) - 1;
    return (chunk) => {
      audio[nth] = Buffer.concat([audio[nth] ?? chunk, chunk]);
    };
  });
}

/** The engine, with the number of samples that each of its streams was given. */
function listening(engine: Engine, given: number[]): Engine {
  return tapped(engine, () => {
    const nth = given.push(0) - 1;
    return (chunk) => {
      given[nth] = (given[nth] ?? 0) + chunk.length / 2;
    };
  });
}

function tapped(engine: Engine, onOpen: () => (chunk: Buffer) => void): Engine {
  return {
    capabilities: engine.capabilities,
    close: () => engine.close(),
    async open(options, signal) {
      const stream = await engine.open(options, signal);
      const onChunk = onOpen();
      return {
        results: stream.results,
        end: () => stream.end(),
        abort: () => stream.abort(),
        write(audio) {
          onChunk(audio);
          return stream.write(audio);
        },
      };
    },
  };
}

function* everySecond(): Generator<ScriptStep> {
  for (let second = 1; ; second++) yield { do: 'final', atSample: second * 16_000, text: `second ${second}` };
}
