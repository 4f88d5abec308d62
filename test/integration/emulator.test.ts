import { readFileSync } from 'node:fs';
import type { Result } from '@aws-sdk/client-transcribe-streaming';
import { afterEach, describe, expect, test } from 'vitest';
import { type Emulator, startEmulator } from '../../src/emulator/emulator.ts';
import type { EmulatorOptions, RecogniserOptions } from '../../src/emulator/options.ts';
import type { Engine, EngineResult } from '../../src/engines/engine.ts';
import { GatewayError } from '../../src/errors.ts';
import { audioChunks, codedAudio } from '../support/coded-audio.ts';
import { formatAccount, isClean, reconcile } from '../support/reconcile.ts';
import { Feed, textOf, transcribe } from '../unit/emulator/sdk-client.ts';

const AT_ONCE = { partialMs: 0, finalMs: { min: 0, max: 0 } };
const CODED: RecogniserOptions = { kind: 'coded', latency: AT_ONCE };
const SECOND = Buffer.alloc(32_000);

let emulator: Emulator;
async function start(options: Partial<EmulatorOptions> = {}): Promise<string> {
  emulator = await startEmulator({ recogniser: CODED, ...options });
  return emulator.url;
}
afterEach(async () => emulator.close());

function scripted(text: string, more: { text: string; startMs: number; endMs: number }[] = []): RecogniserOptions {
  return { kind: 'scripted', latency: AT_ONCE, script: [{ startMs: 0, endMs: 800, text }, ...more] };
}

describe('the unmodified SDK', () => {
  const audio = codedAudio({ utterances: 4, blocks: { min: 10, max: 90 }, silentBlocks: { min: 5, max: 20 }, seed: 7 });

  function expectAllHeard(results: readonly Result[]): void {
    const finals = results.filter((result) => !result.IsPartial);
    const account = reconcile({ expected: audio.blocks, finals: finals.map(textOf), gaps: [] });
    expect(isClean(account), formatAccount(account)).toBe(true);
    expect(finals.map(textOf)).toEqual(audio.utterances.map((blocks) => blocks.map((block) => `b${block}`).join(' ')));
    const items = finals.flatMap((result) => result.Alternatives?.[0]?.Items ?? []);
    expect(items.map((item) => (item.StartTime ?? 0) * 16_000)).toEqual(audio.blocks.map((block) => block.startSample));
  }

  test('is told every block of its audio, with its place, over cleartext HTTP/2', async () => {
    const answer = await transcribe({ url: await start(), audio: audioChunks(audio.pcm) });
    expect(answer.error).toBe('none');
    expectAllHeard(answer.results);
    const partials = answer.results.filter((result) => result.IsPartial);
    expect(partials.length).toBeGreaterThan(4);
    const finalIds = answer.results.filter((result) => !result.IsPartial).map((result) => result.ResultId);
    expect(new Set(partials.map((result) => result.ResultId))).toEqual(new Set(finalIds));
  });

  test('is told every block over TLS', async () => {
    const read = (name: string) => readFileSync(new URL(`../fixtures/emulator/${name}`, import.meta.url));
    const url = await start({ tls: { cert: read('cert.pem'), key: read('key.pem') } });
    expect(url).toMatch(/^https:/);
    const requestHandler = { nodeHttp2ConnectOptions: { ca: read('cert.pem') } };
    const answer = await transcribe({ url, audio: audioChunks(audio.pcm), client: { requestHandler } });
    expect(answer.error).toBe('none');
    expectAllHeard(answer.results);
  });

  test('is told blocks that come at another phase after lost samples, and only whole ones', async () => {
    const torn = Buffer.concat([audio.pcm.subarray(0, 10_001 * 2), audio.pcm.subarray(10_500 * 2)]);
    const answer = await transcribe({ url: await start(), audio: audioChunks(torn, 1234) });
    const account = reconcile({
      expected: audio.blocks,
      finals: answer.finals,
      gaps: [{ fromSample: 10_001, toSample: 10_500 }],
    });
    expect(isClean(account), formatAccount(account)).toBe(true);
    expect(account.coveredByGap.length).toBeGreaterThan(0);
    expect(emulator.streams()[0]?.recogniser.resyncs).toBe(1);
  });

  test('gets its parameters echoed, a request id and the session id it asked for', async () => {
    const SessionId = '01234567-89ab-cdef-0123-456789abcdef';
    const parameters = { SessionId, VocabularyName: 'voc', ShowSpeakerLabel: true, NumberOfChannels: 2 };
    const answer = await transcribe({
      url: await start(),
      audio: [SECOND],
      parameters: {
        ...parameters,
        EnableChannelIdentification: true,
        SessionResumeWindow: 5,
        TranscriptFormat: 'spoken',
      },
    });
    expect(answer.response).toMatchObject({ ...parameters, LanguageCode: 'en-US', SessionResumeWindow: 5 });
    expect(answer.response?.RequestId).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('parameters', () => {
  async function finalOf(recogniser: RecogniserOptions, parameters: object, options: Partial<EmulatorOptions> = {}) {
    const url = await start({ recogniser, ...options });
    const answer = await transcribe({ url, audio: [SECOND, SECOND, SECOND], parameters });
    expect(answer.error).toBe('none');
    return answer.results.filter((result) => !result.IsPartial);
  }

  test.each([
    ['mask', 'say *** to nobody', [false, true, false, false]],
    ['remove', 'say to nobody', [false, false, false]],
    ['tag', 'say darn to nobody', [false, true, false, false]],
  ] as const)('apply a vocabulary filter by %s', async (VocabularyFilterMethod, text, matches) => {
    const [final] = await finalOf(
      scripted('say darn to nobody'),
      { VocabularyFilterName: 'rude', VocabularyFilterMethod },
      { account: { vocabularyFilters: { rude: ['Darn'] } } },
    );
    expect(textOf(final)).toBe(text);
    expect(final?.Alternatives?.[0]?.Items?.map((item) => item.VocabularyFilterMatch)).toEqual(matches);
  });

  test('redact numbers and addresses in finals, and name what they were', async () => {
    const speech = scripted('call 5551234567 or mail jane@example.com, code one two three four.');
    const [final] = await finalOf(speech, { ContentRedactionType: 'PII' });
    expect(textOf(final)).toBe('call [PII] or mail [PII], code [PII].');
    const entities = final?.Alternatives?.[0]?.Entities ?? [];
    expect(entities.map((entity) => entity.Type)).toEqual(['PHONE', 'EMAIL', 'PIN']);
    expect(JSON.stringify(final)).not.toMatch(/555|jane/);
  });

  test('identify personal data without hiding it, of the types asked for', async () => {
    const [final] = await finalOf(scripted('call 5551234567 or mail jane@example.com'), {
      ContentIdentificationType: 'PII',
      PiiEntityTypes: 'EMAIL,NAME',
    });
    expect(textOf(final)).toBe('call 5551234567 or mail jane@example.com');
    expect(final?.Alternatives?.[0]?.Entities).toMatchObject([
      { Type: 'EMAIL', Category: 'PII', Content: 'jane@example.com' },
    ]);
  });

  const turns = scripted('first one here', [
    { startMs: 1000, endMs: 1500, text: 'second here' },
    { startMs: 2000, endMs: 2500, text: 'third here' },
  ]);

  test('label the speakers in turn', async () => {
    const finals = await finalOf(turns, { ShowSpeakerLabel: true });
    expect(finals.map((final) => final.Alternatives?.[0]?.Items?.[0]?.Speaker)).toEqual(['0', '1', '0']);
  });

  test('identify one language with its scores, the preferred one', async () => {
    const finals = await finalOf(turns, {
      LanguageCode: undefined,
      IdentifyLanguage: true,
      LanguageOptions: 'en-US,de-DE,fr-FR',
      PreferredLanguage: 'de-DE',
    });
    expect(finals.map((final) => final.LanguageCode)).toEqual(['de-DE', 'de-DE', 'de-DE']);
    expect(finals[0]?.LanguageIdentification?.[0]).toEqual({ LanguageCode: 'de-DE', Score: 0.9 });
    expect(finals[0]?.LanguageIdentification).toHaveLength(3);
  });

  test('identify several languages', async () => {
    const finals = await finalOf(turns, {
      LanguageCode: undefined,
      IdentifyMultipleLanguages: true,
      LanguageOptions: 'en-US,de-DE',
    });
    expect(finals.map((final) => final.LanguageCode)).toEqual(['en-US', 'de-DE', 'en-US']);
  });

  test('mark the stable items of partials', async () => {
    const url = await start({ recogniser: scripted('one two three four five six') });
    const chunks = Array.from({ length: 10 }, () => Buffer.alloc(3200));
    const answer = await transcribe({
      url,
      audio: chunks,
      parameters: { EnablePartialResultsStabilization: true, PartialResultsStability: 'medium' },
    });
    const stable = answer.results.map((result) => result.Alternatives?.[0]?.Items?.map((item) => item.Stable));
    expect(stable).toContainEqual([true, true, false, false, false]);
    expect(stable.at(-1)).toEqual([true, true, true, true, true, true]);
  });

  test('hear two channels apart', async () => {
    const [left, right] = [1, 1001].map((firstBlock) =>
      codedAudio({ utterances: 2, blocks: 20, silentBlocks: 10, firstBlock }),
    );
    if (left === undefined || right === undefined) throw new Error('no audio');
    const both = Buffer.alloc(left.pcm.length * 2);
    for (let at = 0; at < left.pcm.length; at += 2) {
      left.pcm.copy(both, at * 2, at, at + 2);
      right.pcm.copy(both, at * 2 + 2, at, at + 2);
    }
    const answer = await transcribe({
      url: await start(),
      audio: audioChunks(both, 6400),
      parameters: { EnableChannelIdentification: true, NumberOfChannels: 2 },
    });
    for (const [channel, audio] of [left, right].entries()) {
      const finals = answer.results.filter((result) => !result.IsPartial && result.ChannelId === `ch_${channel}`);
      const account = reconcile({ expected: audio.blocks, finals: finals.map(textOf), gaps: [] });
      expect(isClean(account), formatAccount(account)).toBe(true);
    }
    expect(emulator.streams()[0]?.audioSeconds).toBeCloseTo(left.pcm.length / 32_000, 5);
  });

  test.each([
    ['nothing to recognise by', { LanguageCode: undefined }],
    [
      'redaction with language identification',
      { LanguageCode: undefined, IdentifyLanguage: true, LanguageOptions: 'en-US,de-DE', ContentRedactionType: 'PII' },
    ],
    ['two dialects', { LanguageCode: undefined, IdentifyLanguage: true, LanguageOptions: 'en-US,en-GB' }],
    ['channels without identification', { NumberOfChannels: 2 }],
    ['an unknown filter', { VocabularyFilterName: 'missing' }],
  ])('that are illegal are refused: %s', async (_name, parameters) => {
    const url = await start({ account: { vocabularyFilters: {} } });
    const answer = await transcribe({ url, audio: [SECOND], parameters: parameters as object });
    expect(answer).toMatchObject({ error: 'BadRequestException', status: 400, response: undefined });
    expect(emulator.usage()).toMatchObject({ streams: 0, refusals: { BadRequestException: 1 } });
  });
});

describe('other recognisers and encodings', () => {
  test('Ogg Opus passes through to the script, its length taken from the clock', async () => {
    const url = await start({ recogniser: scripted('hello') });
    const audio = [Buffer.from('OggS and more'), Buffer.from('bytes')];
    const answer = await transcribe({ url, audio, parameters: { MediaEncoding: 'ogg-opus' } });
    expect(answer.error).toBe('none');
    expect(emulator.streams()[0]).toMatchObject({ audioEvents: 2, outcome: 'completed' });
  });

  test('audio that is not of its encoding is refused', async () => {
    const url = await start({ recogniser: scripted('hello') });
    const answer = await transcribe({ url, audio: [SECOND], parameters: { MediaEncoding: 'flac' } });
    expect(answer).toMatchObject({ error: 'BadRequestException' });
  });

  function fakeEngine(fault?: GatewayError) {
    const written: Buffer[] = [];
    const engine: Engine = {
      capabilities: {
        name: 'fake',
        languages: ['en-US'],
        sampleRates: [16_000],
        settleMs: 0,
        features: [],
        realTime: false,
        maxStreamMs: undefined,
      },
      close: async () => undefined,
      open: async () => {
        const feed = new Feed<EngineResult>();
        async function* results() {
          yield* feed;
          if (fault) throw fault;
        }
        return {
          write: async (audio) => {
            written.push(audio);
          },
          results: results(),
          end: () => {
            feed.push({ resultId: 'r', isPartial: false, text: 'well said.', startSample: 1600, endSample: 4800 });
            feed.push({ resultId: 's', isPartial: false, text: '', startSample: 4800, endSample: 9600 });
            feed.end();
          },
          abort: () => feed.end(),
        };
      },
    };
    return { engine, written };
  }

  test('an engine of the gateway speaks through the wire of AWS', async () => {
    const { engine, written } = fakeEngine();
    const url = await start({ recogniser: { kind: 'engine', engine } });
    const pcm = codedAudio({ utterances: 1, blocks: 60, silentBlocks: 5 }).pcm;
    const answer = await transcribe({ url, audio: audioChunks(pcm) });
    expect(answer.finals).toEqual(['well said.']);
    expect(Buffer.concat(written).equals(pcm)).toBe(true);
    expect(answer.results[0]).toMatchObject({ StartTime: 0.1, EndTime: 0.3 });
    const items = answer.results[0]?.Alternatives?.[0]?.Items;
    expect(items?.map((item) => item.Type)).toEqual(['pronunciation', 'pronunciation', 'punctuation']);
  });

  test('an engine that breaks is a ServiceUnavailableException, and one that cannot is a refusal', async () => {
    const { engine } = fakeEngine(new GatewayError('engine_unavailable', 'gone'));
    const url = await start({ recogniser: { kind: 'engine', engine } });
    expect(await transcribe({ url, audio: [SECOND] })).toMatchObject({ error: 'ServiceUnavailableException' });
    expect(await transcribe({ url, audio: [SECOND], parameters: { LanguageCode: 'de-DE' } })).toMatchObject({
      error: 'BadRequestException',
      status: 400,
    });
  });
});
