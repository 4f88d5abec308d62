import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BLOCK_SAMPLES } from '../../../src/emulator/coded-block.ts';
import type { Engine } from '../../../src/engines/engine.ts';
import { createLogger } from '../../../src/log.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import { Session } from '../../../src/session/session.ts';
import type { SessionGap } from '../../../src/session/session-options.ts';
import type { PlacedResult } from '../../../src/session/timeline.ts';
import { audioChunks, type CodedAudio, codedAudio } from '../../support/coded-audio.ts';
import { faultyEngine, SILENT_BLOCKS_TO_CUT } from '../../support/faulty-engine.ts';
import { formatAccount, isClean, reconcile } from '../../support/reconcile.ts';

/** Streams the audio through a session, with pauses long enough to park, and stops. */
async function transcribe(engine: Engine, audio: CodedAudio, pauseEvery: number, trimSilence: boolean) {
  const finals: PlacedResult[] = [];
  const gaps: SessionGap[] = [];
  const started = Promise.withResolvers<void>();
  const session = new Session({
    id: 'test',
    request: { languageCode: 'en-US', sampleRate: 16_000, channels: 1, trimSilence },
    engine,
    limits: {
      backlogMs: 1_000,
      replayMs: 60_000,
      startTimeoutMs: 1_000,
      recoveryTimeoutMs: 5_000,
      flushTimeoutMs: 100,
      parkAfterMs: 15,
      stallTimeoutMs: 40,
      catchUpSpeed: 2,
    },
    metrics: createMetrics(),
    log: createLogger('silent'),
    sink: {
      started: () => started.resolve(),
      queued: () => undefined,
      result: (result) => {
        if (!result.isPartial) finals.push(result);
      },
      gap: (gap) => gaps.push(gap),
      ended: () => started.resolve(),
    },
  });
  void session.run();
  await started.promise;
  let sent = 0;
  for (const chunk of audioChunks(audio.pcm)) {
    if (session.stopping) break;
    session.push(chunk);
    await session.room();
    if (++sent % pauseEvery === 0) await delay(30);
  }
  session.stop('client_stop');
  return { end: await session.ended, finals, gaps };
}

const faults = fc.record({
  seed: fc.integer({ min: 1, max: 1e6 }),
  breaks: fc.constantFrom(0, 0.05, 0.2),
  refusals: fc.constantFrom(0, 0.3),
  lateness: fc.nat(8),
  hangs: fc.constantFrom(0, 0, 0.02),
  maxStreamMs: fc.constantFrom(undefined, 60),
  maxSilenceMs: fc.constantFrom(undefined, 10),
});

/** Fixed, so that a failure can be looked into; the cases run side by side because they mostly wait. */
const CASES = fc.sample(fc.tuple(faults, fc.constantFrom(7, 1000)), { seed: 20, numRuns: 60 });

/** Every block is said once, in order and where it was spoken, or is reported as lost. */
async function expectWhole(engine: Engine, audio: CodedAudio, pauseEvery: number, trimSilence: boolean): Promise<void> {
  const { end, finals, gaps } = await transcribe(engine, audio, pauseEvery, trimSilence);
  // A session that gives up takes no more audio: only what it took is its to account for.
  const expected = audio.blocks.filter(({ startSample }) => startSample < end.samples);
  const account = reconcile({ expected, finals: finals.map(({ text }) => text), gaps });
  expect(isClean(account), formatAccount(account)).toBe(true);
  if (end.reason === 'client_stop' && gaps.length === 0) expect(account.heard).toBe(audio.blocks.length);
  let last = 0;
  for (const final of finals) {
    expect(final.startSample).toBeGreaterThanOrEqual(last);
    last = final.endSample;
    const numbers = final.text.split(' ').map((word) => Number(word.slice(1)));
    const spoken = audio.blocks.filter(({ number }) => numbers.includes(number));
    expect([final.startSample, final.endSample]).toEqual([spoken[0]?.startSample, spoken.at(-1)?.endSample]);
  }
}

describe('a session over an engine that breaks in every way', () => {
  it.concurrent.each(CASES)(
    'accounts for every block: said once and in order where it was spoken, or reported as lost: %j, pause every %d',
    { timeout: 60_000 },
    async (fault, pauseEvery) => {
      const silentBlocks = { min: SILENT_BLOCKS_TO_CUT, max: 20 };
      const audio = codedAudio({ utterances: 12, blocks: { min: 1, max: 40 }, silentBlocks, seed: fault.seed });
      await expectWhole(faultyEngine(fault), audio, pauseEvery, false);
    },
  );

  it.concurrent.each(CASES.slice(0, 16))(
    'does so too where silence is trimmed, of which no engine is given much: %j, pause every %d',
    { timeout: 60_000 },
    async (fault, pauseEvery) => {
      // Pauses that are cut and pauses that are not, and blocks that lie across the frames of the detector.
      const silentBlocks = { min: SILENT_BLOCKS_TO_CUT, max: 250 };
      const whole = codedAudio({ utterances: 6, blocks: { min: 1, max: 40 }, silentBlocks, seed: fault.seed });
      const audio = shifted(whole, fault.seed % BLOCK_SAMPLES);
      const engine = faultyEngine(fault);
      await expectWhole(engine, audio, pauseEvery, true);
      // Where nothing broke, all that was cut was cut for good.
      const isWhole = fault.breaks + fault.hangs === 0 && fault.maxStreamMs === undefined && pauseEvery === 1000;
      if (isWhole) expect(engine.given.samples).toBeLessThan(0.8 * (audio.pcm.length / 2));
    },
  );
});

/** The same audio so many samples later. */
function shifted({ blocks, pcm, utterances }: CodedAudio, samples: number): CodedAudio {
  return {
    pcm: Buffer.concat([Buffer.alloc(samples * 2), pcm]),
    blocks: blocks.map(({ endSample, number, startSample }) => ({
      number,
      startSample: startSample + samples,
      endSample: endSample + samples,
    })),
    utterances,
  };
}
