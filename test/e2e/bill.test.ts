import { afterEach, expect, it } from 'vitest';
import { encodeBlock } from '../../src/emulator/coded-block.ts';
import { startEmulator } from '../../src/emulator/emulator.ts';
import { STOCK_KEY, stockRelay, trimmedSession } from '../support/bill.ts';
import { type CodedAudio, codedAudio } from '../support/coded-audio.ts';
import { killAll, serveGateway, toEmulator } from '../support/process.ts';
import { TranscriptCheck } from '../support/transcript-check.ts';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
  killAll();
});

/** Audio goes so many times as fast as it was spoken, and so does the engine that answers. Not as a wrong sample rate would. */
const SPEED = 3.5;
/** Blocks of 20 ms: turns of three sentences of six seconds, a moment between them and eleven seconds of pause behind each turn. */
const TURNS = 2;
const SENTENCE = 300;
const BETWEEN = 10;
const PAUSE = 560;

/** Of thirty seconds, twelve are silent: 40%. */
function spokenInTurns(): CodedAudio {
  const parts: Buffer[] = [];
  const blocks: CodedAudio['blocks'][number][] = [];
  const utterances: (readonly number[])[] = [];
  let samples = 0;
  for (let turn = 0; turn < TURNS; turn++) {
    const firstBlock = blocks.length + 1;
    const said = codedAudio({ utterances: 3, blocks: SENTENCE, silentBlocks: BETWEEN, firstBlock });
    const pcm = Buffer.concat([said.pcm, ...Array.from({ length: PAUSE }, () => encodeBlock(0))]);
    for (const { endSample, number, startSample } of said.blocks) {
      blocks.push({ number, startSample: samples + startSample, endSample: samples + endSample });
    }
    parts.push(pcm);
    utterances.push(...said.utterances);
    samples += pcm.length / 2;
  }
  return { pcm: Buffer.concat(parts), blocks, utterances };
}

it('is at most 0.8 of that of a relay that sends every sample, for a conversation, and no word is lost or moved', async () => {
  const emulator = await startEmulator({
    recogniser: {
      kind: 'coded',
      latency: { partialMs: 300 / SPEED, finalMs: { min: 300 / SPEED, max: 2_000 / SPEED } },
    },
    credentials: [STOCK_KEY, { accessKeyId: 'test', secretAccessKey: 'test' }],
    seed: 1,
  });
  open.push(emulator);
  const gateway = await serveGateway({
    ...toEmulator(emulator.url),
    GATEWAY_SILENCE_TRIMMING_TENANTS: '*',
    GATEWAY_CATCH_UP_SPEED: String(2 * SPEED),
  });
  const audio = spokenInTurns();
  const [stock, finals] = await Promise.all([
    stockRelay(emulator.url, audio.pcm, SPEED),
    trimmedSession(gateway.url, audio.pcm, SPEED),
  ]);
  const places = new Map(audio.blocks.map((block) => [block.number, block]));
  const check = new TranscriptCheck((number) => places.get(number));
  for (const final of finals) check.result(final);
  expect(check.problems).toEqual([]);
  expect(check.finals.join(' ')).toBe(stock);
  expect(check.finals).toHaveLength(3 * TURNS);

  const { accounts } = emulator.usage();
  const [all, trimmed] = [accounts['stock/us-east-1'], accounts['test/us-east-1']];
  expect(all?.billedSeconds).toBe((TURNS * (3 * SENTENCE + 4 * BETWEEN + PAUSE)) / 50);
  expect(trimmed?.streams).toBe(1);
  console.log(`billed: ${trimmed?.billedSeconds} s of ${all?.billedSeconds}`);
  expect(trimmed?.billedSeconds).toBeLessThanOrEqual(0.8 * (all?.billedSeconds ?? 0));
  // What the gateway says it was billed is what it is billed.
  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  expect(metrics).toContain(`transcribe_gateway_billed_seconds_total{engine="aws"} ${trimmed?.billedSeconds}\n`);
});
