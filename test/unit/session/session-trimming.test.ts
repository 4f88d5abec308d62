import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Engine, EngineCapabilities } from '../../../src/engines/engine.ts';
import { ScriptedEngine, type ScriptStep } from '../../../src/engines/scripted/scripted-engine.ts';
import { GatewayError } from '../../../src/errors.ts';
import { createLogger } from '../../../src/log.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import type { StartRequest } from '../../../src/protocol/start-request.ts';
import { Session } from '../../../src/session/session.ts';
import type { SessionGap } from '../../../src/session/session-options.ts';
import type { PlacedResult } from '../../../src/session/timeline.ts';
import { silence, tone } from '../../support/client.ts';

const RATE = 16_000;
const BILLED = { billing: { minimumSeconds: 15 } };

/** Samples that each stream was given. */
type Given = { readonly samples: number[]; readonly engine: Engine };

/** The nth stream does the nth list of steps, the last one again and again. */
function listening(capabilities: Partial<EngineCapabilities>, ...scripts: ScriptStep[][]): Given {
  const engine = new ScriptedEngine({
    capabilities: { ...BILLED, features: ['channels'], ...capabilities },
    script: (nth) => ({ steps: scripts[Math.min(nth, scripts.length - 1)] ?? [] }),
  });
  const samples: number[] = [];
  const counting: Engine = {
    capabilities: engine.capabilities,
    close: () => engine.close(),
    open: async (options, signal) => {
      const stream = await engine.open(options, signal);
      const nth = samples.push(0) - 1;
      const write = stream.write.bind(stream);
      stream.write = (audio) => {
        samples[nth] = (samples[nth] ?? 0) + audio.length / 2 / options.channels;
        return write(audio);
      };
      return stream;
    },
  };
  return { engine: counting, samples };
}

function start({ engine }: Given, request: Partial<StartRequest> = {}, replayMs = 60_000) {
  const finals: PlacedResult[] = [];
  const gaps: SessionGap[] = [];
  const session = new Session({
    id: 'test',
    request: { languageCode: 'en-US', sampleRate: RATE, channels: 1, trimSilence: true, ...request },
    engine,
    limits: {
      backlogMs: 60_000,
      replayMs,
      startTimeoutMs: 1_000,
      recoveryTimeoutMs: 2_000,
      flushTimeoutMs: 1_000,
      parkAfterMs: 10_000,
      stallTimeoutMs: 10_000,
      catchUpSpeed: 2,
    },
    metrics: createMetrics(),
    log: createLogger('silent'),
    sink: {
      started: () => undefined,
      queued: () => undefined,
      result: (result) => {
        if (!result.isPartial) finals.push(result);
      },
      gap: (gap) => gaps.push(gap),
      ended: () => undefined,
    },
  });
  void session.run();
  const places = () => finals.map(({ endSample, startSample, text }) => [text, startSample, endSample]);
  return { session, gaps, places };
}

/** Quieter than any sound, and louder than the noise of a muted microphone. */
function hiss(ms: number): Buffer {
  const audio = Buffer.alloc(ms * 32);
  for (let at = 0; at < audio.length; at += 2) audio.writeInt16LE(at % 3 === 0 ? 40 : -5, at);
  return audio;
}

/** A client with a silent microphone, until it is told to end. */
function beSilent(session: Session): () => void {
  const timer = setInterval(() => session.push(silence(100)), 10);
  return () => clearInterval(timer);
}

const final = (fromMs: number, atMs: number, text: string): ScriptStep => ({
  do: 'final',
  fromSample: fromMs * 16,
  atSample: atMs * 16,
  text,
});

describe('a session that trims silence', () => {
  it('places what is said after a pause where it was said, though the engine heard little of the pause', async () => {
    // The engine hears the first second, a second of the pause, and the 400 ms before the second word.
    const given = listening({}, [final(0, 1_000, 'one'), final(2_400, 3_400, 'two')]);
    const s = start(given);
    for (const audio of [tone(1_000), ...Array.from({ length: 10 }, () => silence(1_000)), tone(1_000)]) {
      s.session.push(audio);
    }
    s.session.stop('client_stop');
    expect(await s.session.ended).toMatchObject({ samples: 12 * RATE, finals: 2 });
    expect(s.places()).toEqual([
      ['one', 0, RATE],
      ['two', 11 * RATE, 12 * RATE],
    ]);
    expect(given.samples).toEqual([3.4 * RATE]);
  });

  it.each([
    ['it is not asked to', { trimSilence: undefined }, {}],
    ['the engine costs nothing', {}, { billing: undefined as never }],
  ])('gives everything where %s', async (_case, request, capabilities) => {
    const given = listening(capabilities, []);
    const s = start(given, request);
    for (let second = 0; second < 5; second++) s.session.push(silence(1_000));
    s.session.stop('client_stop');
    await s.session.ended;
    expect(given.samples).toEqual([5 * RATE]);
  });

  it('does not give the silence again that it cut, when the stream breaks', async () => {
    // The engine may still show words in the hiss of the pause: it is not covered.
    const given = listening(
      { settleMs: 60_000 },
      [final(0, 1_000, 'one'), { do: 'fail', atSample: 3_000 * 16, error: new GatewayError('engine_unavailable', '') }],
      [final(1_400, 2_400, 'two')],
    );
    const s = start(given);
    for (const audio of [tone(1_000), ...Array.from({ length: 10 }, () => hiss(1_000)), tone(1_000)]) {
      s.session.push(audio);
    }
    s.session.stop('client_stop');
    await s.session.ended;
    expect(s.places()).toEqual([
      ['one', 0, RATE],
      ['two', 11 * RATE, 12 * RATE],
    ]);
    // From the end of "one" on: a second, 400 ms, and "two".
    expect(given.samples[1]).toBe(2.4 * RATE);
  });

  it('lets an engine have the silence that it needs to end its words by', async () => {
    // It ends the word only after three seconds of silence.
    const given = listening({}, [{ do: 'partial', atSample: 8_000, text: 'on' }, final(0, 4_000, 'one')]);
    const s = start(given);
    s.session.push(tone(1_000));
    await expect.poll(() => given.samples).toEqual([RATE]);
    const end = beSilent(s.session);
    await expect.poll(() => s.places()).toEqual([['one', 0, 4 * RATE]]);
    const enough = given.samples[0] ?? 0;
    await expect.poll(() => s.session.head).toBeGreaterThan(8 * RATE);
    end();
    expect(given.samples[0]).toBeLessThan(enough + RATE);
    s.session.abort();
  });

  it('acknowledges the silence that it cuts, but no sound before it', async () => {
    const given = listening({ settleMs: 20 }, [{ do: 'delay', atSample: 1, ms: 500 }, final(0, 1_000, 'one')]);
    const s = start(given);
    s.session.push(tone(1_000));
    const end = beSilent(s.session);
    await expect.poll(() => s.session.head).toBeGreaterThan(3 * RATE);
    expect(s.session.watermark).toBe(0);
    await expect.poll(() => s.places()).toEqual([['one', 0, RATE]]);
    await expect.poll(() => s.session.head - s.session.watermark).toBeLessThan(2 * RATE);
    expect(s.session.watermark).toBeGreaterThan(2 * RATE);
    end();
    s.session.abort();
  });

  it('keeps the stream through a pause with a little silence, in time for an engine that ends silent ones', async () => {
    const given = listening({ maxSilenceMs: 200 }, []);
    const s = start(given);
    const end = beSilent(s.session);
    // The first second, and five times a tenth of one.
    await expect.poll(() => given.samples[0]).toBeGreaterThanOrEqual(1.5 * RATE);
    end();
    expect(given.samples).toHaveLength(1);
    expect(s.session.state).toBe('live');
    s.session.abort();
  });

  it('parks where a new stream costs nothing, opens none for silence, and goes on with the next sound', async () => {
    const given = listening({ maxSilenceMs: 50, billing: { minimumSeconds: 0 } }, [], [final(400, 1_400, 'one')]);
    const s = start(given);
    const end = beSilent(s.session);
    await expect.poll(() => s.session.state).toBe('parked');
    const parkedAt = s.session.head;
    await expect.poll(() => s.session.head).toBeGreaterThan(parkedAt + 5 * RATE);
    end();
    expect(s.session.state).toBe('parked');
    expect(s.session.head - s.session.watermark).toBeLessThan(RATE);
    const saidAt = s.session.head;
    s.session.push(tone(1_000));
    s.session.stop('client_stop');
    await s.session.ended;
    expect(s.places()).toEqual([['one', saidAt, saidAt + RATE]]);
    expect(given.samples).toHaveLength(2);
    expect(s.gaps).toEqual([]);
  });

  it('parks a stream whose engine does not say what it heard before the pause, so that it does', async () => {
    // A door slams. The engine neither hears a word in it nor says so.
    const given = listening({ maxSilenceMs: 100, settleMs: 50 }, []);
    const s = start(given);
    s.session.push(tone(200));
    const end = beSilent(s.session);
    await expect.poll(() => s.session.state, { timeout: 5_000 }).toBe('parked');
    // The second after it, and a second and the settle time as a probe.
    expect(given.samples[0]).toBeGreaterThanOrEqual(2.2 * RATE);
    await expect.poll(() => s.session.watermark).toBeGreaterThan(RATE);
    end();
    s.session.abort();
  });

  it('ends without another stream when it is stopped in a pause for which it was parked', async () => {
    const given = listening({ maxSilenceMs: 50, billing: { minimumSeconds: 0 } }, []);
    const s = start(given);
    const end = beSilent(s.session);
    await expect.poll(() => s.session.state).toBe('parked');
    end();
    s.session.stop('client_stop');
    expect(await s.session.ended).toMatchObject({ reason: 'client_stop', samples: s.session.head });
    expect(given.samples).toHaveLength(1);
  });

  it('cuts two channels where both are silent', async () => {
    const given = listening({}, []);
    const s = start(given, { channels: 2 });
    const stereo = (left: Buffer, right: Buffer) => {
      const both = Buffer.alloc(left.length * 2);
      for (let at = 0; at < left.length; at += 2) {
        left.copy(both, at * 2, at, at + 2);
        right.copy(both, at * 2 + 2, at, at + 2);
      }
      return both;
    };
    const second = { loud: tone(1_000), still: silence(1_000) };
    const said = [second.loud, second.still, second.still, second.still, second.still, second.still];
    for (const [index, left] of said.entries()) s.session.push(stereo(left, said.at(index - 2) ?? second.still));
    s.session.stop('client_stop');
    await s.session.ended;
    // Left speaks in the first second, right in the third; the last three are silent, of which one is given.
    expect(given.samples).toEqual([4 * RATE]);
  });

  it('takes no audio from the bound of what may wait by what it cuts', async () => {
    const given = listening({}, []);
    const s = start(given);
    for (let second = 0; second < 180; second++) {
      s.session.push(silence(1_000));
      await s.session.room();
      await delay(0);
    }
    s.session.stop('client_stop');
    expect(await s.session.ended).toMatchObject({ reason: 'client_stop', samples: 180 * RATE });
    expect(s.gaps).toEqual([]);
  });
});
