import { afterEach, describe, expect, it } from 'vitest';
import type { Engine, EngineResult, EngineStream, EngineStreamOptions } from '../../src/engines/engine.ts';
import { ResultQueue } from '../../src/engines/result-queue.ts';
import { ScriptedEngine } from '../../src/engines/scripted/scripted-engine.ts';
import { REQUEST_FEATURES } from '../../src/protocol/start-request.ts';
import { connect, emitWithAck, type TestClient, tone } from '../support/client.ts';
import { scripted, startGateway, type TestGateway } from '../support/gateway.ts';

const ABLE = {
  languages: ['en-US', 'en-GB', 'de-DE', 'fr-FR'],
  sampleRates: [8000, 16_000, 48_000],
  features: REQUEST_FEATURES,
};
const V2 = { auth: { protocol: 2 } };
const OPTIONS = { identify_language: true, language_options: ['en-US', 'de-DE'] };

const open: { gateways: TestGateway[]; clients: TestClient[] } = { gateways: [], clients: [] };

afterEach(async () => {
  for (const client of open.clients.splice(0)) client.close();
  await Promise.all(open.gateways.splice(0).map((gateway) => gateway.release()));
});

async function clientOf(engine: Engine, options: Parameters<typeof connect>[1] = V2): Promise<TestClient> {
  const gateway = await startGateway(engine);
  open.gateways.push(gateway);
  const client = connect(gateway.url, options);
  open.clients.push(client);
  return client;
}

/** An engine that can do everything, and what each of its streams was asked for. */
/** @returns also what it is asked for, without who asks */
function ableEngine(): { engine: ScriptedEngine; asked: Omit<EngineStreamOptions, 'applicant'>[] } {
  const asked: Omit<EngineStreamOptions, 'applicant'>[] = [];
  const engine = new ScriptedEngine({
    capabilities: ABLE,
    script: (_nth, { applicant: _, ...options }) => {
      asked.push(options);
      return { steps: [] };
    },
  });
  return { engine, asked };
}

describe('a version-2 start', () => {
  it('brings all that it asks for to the engine', async () => {
    const { asked, engine } = ableEngine();
    const v2 = await clientOf(engine);
    const reply = await emitWithAck(v2, 'start_transcription', {
      language_code: 'en-GB',
      encoding: 'pcm',
      sample_rate: 48_000,
      channels: 2,
      speaker_labels: true,
      partial_stability: 'high',
      vocabulary: 'medicines',
      vocabulary_filter: { name: 'swearing', method: 'tag' },
      language_model: 'hospital',
      redaction: 'pii',
      entity_types: ['NAME', 'PHONE'],
      transcript_format: 'spoken',
    });
    expect(reply).toMatchObject({ ok: true });
    expect(await v2.next('transcription_started')).toMatchObject({ language_code: 'en-GB' });
    expect(asked).toEqual([
      {
        continuation: false,
        languageCode: 'en-GB',
        sampleRate: 48_000,
        channels: 2,
        speakerLabels: true,
        partialStability: 'high',
        vocabularies: ['medicines'],
        vocabularyFilter: { names: ['swearing'], method: 'tag' },
        languageModel: 'hospital',
        personalData: { action: 'redact', entityTypes: ['NAME', 'PHONE'] },
        transcriptFormat: 'spoken',
      },
    ]);
  });

  it('may leave the language to the engine', async () => {
    const { asked, engine } = ableEngine();
    const v2 = await clientOf(engine);
    const reply = await emitWithAck(v2, 'start_transcription', {
      ...OPTIONS,
      preferred_language: 'de-DE',
      sample_rate: 8000,
      vocabulary: ['words', 'woerter'],
    });
    expect(reply).toMatchObject({ ok: true });
    expect(await v2.next('transcription_started')).not.toHaveProperty('language_code');
    expect(asked).toEqual([
      {
        continuation: false,
        identify: { languages: 'one', options: ['en-US', 'de-DE'], preferred: 'de-DE' },
        sampleRate: 8000,
        channels: 1,
        vocabularies: ['words', 'woerter'],
      },
    ]);
  });

  it.each([
    [
      'redaction with language identification',
      { ...OPTIONS, redaction: true },
      'bad_request',
      /redaction.*identify_language/,
    ],
    ['a language beside identification', { ...OPTIONS, language_code: 'en-US' }, 'bad_request', /language_code/],
    ['identification without options', { identify_language: 'several' }, 'bad_request', /language_options/],
    ['two dialects', { ...OPTIONS, language_options: ['en-US', 'en-GB'] }, 'bad_request', /dialects/],
    ['two ways to treat personal data', { content_identification: true, redaction: true }, 'bad_request', /redaction/],
    ['types of nothing', { entity_types: ['NAME'] }, 'bad_request', /entity_types/],
    ['an unknown value', { partial_stability: 'extreme' }, 'bad_request', /partial_stability/],
    ['a name that cannot be one', { vocabulary: 'two words' }, 'bad_request', /vocabulary/],
    [
      'an unknown option',
      { ...OPTIONS, language_options: ['en-US', 'xx-XX'] },
      'unsupported_language',
      /language_options\.1.*en-US, en-GB, de-DE/,
    ],
    ['an unknown language', { language_code: 'xx-XX' }, 'unsupported_language', /language_code.*en-US, en-GB, de-DE/],
    ['a rate that the engine lacks', { sample_rate: 44_100 }, 'unsupported_encoding', /8000, 16000, 48000/],
    ['a translation', { translate_to: 'fr-FR' }, 'bad_request', /translate_to/],
  ])(
    'is refused by name for %s before anything is opened, and the next one works',
    async (_, fields, code, message) => {
      const { asked, engine } = ableEngine();
      const v2 = await clientOf(engine);
      const reply = await emitWithAck(v2, 'start_transcription', fields);
      expect(reply).toMatchObject({
        ok: false,
        error: { code, message: expect.stringMatching(message), retryable: false },
      });
      expect(JSON.stringify(reply)).not.toMatch(/extreme|two words|xx-XX/);
      expect(await v2.next('error')).toEqual((reply as { error: object }).error);
      expect(asked).toEqual([]);
      expect(await emitWithAck(v2, 'start_transcription', { vocabulary: 'words' })).toMatchObject({ ok: true });
      expect(v2.all('transcription_started')).toHaveLength(1);
    },
  );

  it.each([
    ['identify_language', OPTIONS],
    ['channels', { channels: 2 }],
    ['speaker_labels', { speaker_labels: true }],
    ['partial_stability', { partial_stability: 'low' }],
    ['vocabulary', { vocabulary: 'words' }],
    ['vocabulary_filter', { vocabulary_filter: { name: 'words' } }],
    ['language_model', { language_model: 'court' }],
    ['content_identification', { content_identification: true }],
    ['redaction', { redaction: true }],
    ['transcript_format', { transcript_format: 'written' }],
  ])('is refused by name when the engine lacks %s', async (feature, fields) => {
    const features = REQUEST_FEATURES.filter((other) => other !== feature);
    const v2 = await clientOf(scripted([], { capabilities: { ...ABLE, features } }));
    expect(await emitWithAck(v2, 'start_transcription', fields)).toMatchObject({
      ok: false,
      error: { code: 'bad_request', message: `start_transcription: the engine scripted does not support ${feature}.` },
    });
    expect(v2.all('transcription_started')).toEqual([]);
  });
});

it('a version-1 start asks for a language and for nothing else, whatever else it holds', async () => {
  const { asked, engine } = ableEngine();
  const v1 = await clientOf(engine, {});
  v1.socket.emit('start_transcription', { ...OPTIONS, language_code: 'de-DE', channels: 2, redaction: 5 });
  expect(await v1.next('transcription_started')).toMatchObject({ language_code: 'de-DE' });
  expect(asked).toEqual([{ continuation: false, languageCode: 'de-DE', sampleRate: 16_000, channels: 1 }]);
});

/** Says one utterance about the first 100 ms, a partial and its final, with all that an engine may say. */
class TellingEngine implements Engine {
  readonly capabilities = {
    ...ABLE,
    name: 'telling',
    settleMs: 0,
    realTime: false,
    maxStreamMs: undefined,
  };

  async open(): Promise<EngineStream> {
    const results = new ResultQueue(10, () => results.discard());
    const say = (isPartial: boolean): EngineResult => ({
      resultId: 'utterance-1',
      isPartial,
      text: 'Anna.',
      startSample: 0,
      endSample: 1600,
      channel: 0,
      languageCode: 'de-DE',
      languageScores: [{ languageCode: 'de-DE', score: 0.875 }],
      items: [
        { content: 'Anna', type: 'word', startSample: 0, endSample: 800, speaker: '1', stable: true, filtered: true },
        { content: '.', type: 'punctuation', startSample: 800, endSample: 800 },
      ],
      entities: [{ category: 'PII', type: 'NAME', content: 'Anna', startSample: 0, endSample: 800, confidence: 0.5 }],
    });
    return {
      results,
      write: async () => results.push(say(true)),
      end: () => {
        results.push(say(false));
        results.close();
      },
      abort: () => results.discard(),
    };
  }

  async close(): Promise<void> {}
}

describe('the results', () => {
  it('tell a version-2 client all that the engine said, and partials and finals share their id', async () => {
    const v2 = await clientOf(new TellingEngine());
    await emitWithAck(v2, 'start_transcription', OPTIONS);
    await emitWithAck(v2, 'audio_chunk', { chunk: tone(100) });
    expect(await v2.next('transcription_result')).toMatchObject({ is_partial: true, result_id: 'utterance-1' });
    await emitWithAck(v2, 'stop_transcription');
    expect(v2.all('transcription_result').at(-1)).toEqual({
      text: 'Anna.',
      is_partial: false,
      epoch: 1,
      seq: 1,
      session_id: expect.any(String),
      result_id: 'utterance-1',
      start_sample: 0,
      end_sample: 1600,
      start_ms: 0,
      end_ms: 100,
      channel: 0,
      speaker: '1',
      language_code: 'de-DE',
      language_scores: [{ language_code: 'de-DE', score: 0.875 }],
      items: [
        {
          content: 'Anna',
          type: 'word',
          start_sample: 0,
          end_sample: 800,
          start_ms: 0,
          end_ms: 50,
          speaker: '1',
          stable: true,
          filtered: true,
        },
        { content: '.', type: 'punctuation', start_sample: 800, end_sample: 800, start_ms: 50, end_ms: 50 },
      ],
      entities: [
        {
          category: 'PII',
          type: 'NAME',
          content: 'Anna',
          start_sample: 0,
          end_sample: 800,
          start_ms: 0,
          end_ms: 50,
          confidence: 0.5,
        },
      ],
    });
  });

  it('tell a version-1 client the text and nothing else', async () => {
    const v1 = await clientOf(new TellingEngine(), {});
    v1.socket.emit('start_transcription');
    v1.socket.emit('audio_chunk', { chunk: tone(100) });
    expect(await v1.next('transcription_result')).toEqual({ text: 'Anna.', is_partial: true });
    v1.socket.emit('stop_transcription');
    await v1.next('transcription_stopped');
    expect(v1.all('transcription_result').at(-1)).toEqual({ text: 'Anna.', is_partial: false });
  });
});
