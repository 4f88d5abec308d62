import { describe, expect, it } from 'vitest';
import { Coverage } from '../../../src/client/coverage.ts';
import { Emitter } from '../../../src/client/emitter.ts';
import { EntryReader } from '../../../src/client/entry-reader.ts';
import { errorOf, TranscriptionError } from '../../../src/client/errors.ts';
import { settingsOf } from '../../../src/client/options.ts';
import { randomKey } from '../../../src/client/random.ts';
import { Timeline } from '../../../src/client/timeline.ts';
import { Tokens } from '../../../src/client/tokens.ts';

describe('coverage', () => {
  it('is the later of what was acknowledged and what has entries', () => {
    const coverage = new Coverage(1);
    coverage.final(500);
    expect(coverage.position).toBe(500);
    coverage.acknowledge(800);
    coverage.acknowledge(700);
    expect([coverage.position, coverage.acked]).toEqual([800, 800]);
  });

  it('is the lower of two channels, and silence of one is up to its own last final', () => {
    const coverage = new Coverage(2);
    coverage.final(900, 1);
    expect([coverage.position, coverage.channelPosition(0), coverage.channelPosition(1)]).toEqual([0, 0, 900]);
    coverage.final(400, 0);
    expect(coverage.position).toBe(400);
    coverage.gap(1_000);
    expect(coverage.position).toBe(1_000);
  });
});

describe('the timeline', () => {
  const timeline = new Timeline({ chunks: 10, samples: 16_000, entries: 4 }, 16_000);

  it('moves a session to where the transcription had got', () => {
    const final = timeline.final(
      {
        text: 'hi',
        is_partial: false,
        start_sample: 160,
        end_sample: 1_600,
        language_scores: [{ language_code: 'de-DE', score: 1 }],
        items: [{ content: 'hi', type: 'word', start_sample: 160, end_sample: 1_600, start_ms: 10, end_ms: 100 }],
        entities: [
          { category: 'PII', type: 'NAME', content: 'hi', start_sample: 0, end_sample: 1, start_ms: 0, end_ms: 0 },
        ],
        durable: false,
      },
      2,
    );
    expect(final).toEqual({
      kind: 'final',
      seq: 6,
      text: 'hi',
      resultId: undefined,
      startSample: 16_160,
      endSample: 17_600,
      startMs: 1_010,
      endMs: 1_100,
      durable: false,
      replayed: false,
      languageScores: [{ languageCode: 'de-DE', score: 1 }],
      items: [{ content: 'hi', type: 'word', startSample: 16_160, endSample: 17_600, startMs: 1_010, endMs: 1_100 }],
      entities: [
        {
          category: 'PII',
          type: 'NAME',
          content: 'hi',
          startSample: 16_000,
          endSample: 16_001,
          startMs: 1_000,
          endMs: 1_000,
        },
      ],
    });
  });

  it('moves gaps, and positions back', () => {
    const gap = { session_id: '', from_sample: 0, to_sample: 16_000, from_ms: 0, to_ms: 1_000, reason: 'x' };
    expect(timeline.gap(gap, 1)).toMatchObject({ seq: 5, fromSample: 16_000, toMs: 2_000, replayed: false });
    expect([timeline.sessionSample(20_000), timeline.sessionSample(3)]).toEqual([4_000, 0]);
  });
});

describe('the emitter', () => {
  it('gives events to those who listen, until they do not', () => {
    class Source extends Emitter<{ a: number }> {
      say(value: number): void {
        this.emit('a', value);
      }
    }
    const source = new Source();
    const heard: string[] = [];
    const remove = source.on('a', (value) => heard.push(`on ${value}`));
    source.once('a', (value) => heard.push(`once ${value}`));
    source.say(1);
    remove();
    source.say(2);
    expect(heard).toEqual(['on 1', 'once 1']);
  });
});

describe('a reader of entries', () => {
  it('gives what came before the end, then the error once', async () => {
    const reader = new EntryReader<number>(10, () => undefined);
    const first = reader.next();
    reader.push(1);
    reader.push(2);
    reader.end(new Error('over'));
    reader.push(3);
    expect(await first).toEqual({ done: false, value: 1 });
    expect(await reader.next()).toEqual({ done: false, value: 2 });
    await expect(reader.next()).rejects.toThrow('over');
    expect(await reader.next()).toEqual({ done: true, value: undefined });
  });

  it('ends with an error when it is left too far behind', async () => {
    const reader = new EntryReader<number>(2, () => undefined);
    for (const entry of [1, 2, 3, 4]) reader.push(entry);
    const read: number[] = [];
    const reading = (async () => {
      for await (const entry of reader) read.push(entry);
    })();
    await expect(reading).rejects.toMatchObject({ code: 'reader_overflow' });
    expect(read).toEqual([1, 2]);
  });

  it('is given up by a loop that is left', async () => {
    let left = false;
    const reader = new EntryReader<number>(2, () => {
      left = true;
    });
    reader.push(1);
    for await (const _ of reader) break;
    expect(left).toBe(true);
    expect(await reader.next()).toEqual({ done: true, value: undefined });
  });
});

describe('errors', () => {
  it('carry code, retryable and the wait', () => {
    expect(errorOf({ code: 'overloaded', message: 'm', retry_after_ms: 5 })).toMatchObject({
      code: 'overloaded',
      retryable: true,
      retryAfterMs: 5,
      message: 'm',
    });
    expect(errorOf({ connection_id: 'c', session_id: 's' })).toMatchObject({ connectionId: 'c', sessionId: 's' });
    expect(new TranscriptionError('taken_over', '')).toMatchObject({ retryable: false });
    expect(errorOf({})).toMatchObject({ code: 'internal', retryable: true });
  });
});

describe('settings', () => {
  it('name the fields of the start as the wire does, and leave out what was not given', () => {
    const { format, start } = settingsOf({
      url: '',
      identifyLanguage: 'several',
      languageOptions: ['en-US', 'de-DE'],
      sampleRate: 48_000,
      channels: 2,
      vocabularyFilter: { name: 'f', method: 'tag' },
      redaction: true,
    });
    expect(start).toEqual({
      identify_language: 'several',
      language_options: ['en-US', 'de-DE'],
      encoding: 'pcm',
      sample_rate: 48_000,
      channels: 2,
      vocabulary_filter: { name: 'f', method: 'tag' },
      redaction: true,
    });
    expect(format).toEqual({ sampleRate: 48_000, channels: 2 });
  });

  it('keep 10 MB and five minutes unless told otherwise', () => {
    expect(settingsOf({ url: '' }).keep).toEqual({ bytes: 10_000_000, ageMs: 300_000 });
    expect(settingsOf({ url: '', keep: { ageMs: 1 } }).keep).toEqual({ bytes: 10_000_000, ageMs: 1 });
  });
});

describe('the random key', () => {
  it('has 128 bits, and is another each time', () => {
    expect(randomKey()).toMatch(/^[0-9a-f]{32}$/);
    expect(randomKey()).not.toBe(randomKey());
    expect(randomKey((bytes) => bytes.fill(10))).toBe('0a'.repeat(16));
  });

  it('says what to install where the platform has no source', () => {
    const { crypto } = globalThis;
    Object.defineProperty(globalThis, 'crypto', { value: undefined, configurable: true, writable: true });
    try {
      expect(() => randomKey()).toThrow(/react-native-get-random-values/);
    } finally {
      Object.defineProperty(globalThis, 'crypto', { value: crypto, configurable: true, writable: true });
    }
  });
});

describe('tokens', () => {
  it('are asked for once, and again when they were refused', async () => {
    let asked = 0;
    const tokens = new Tokens(async () => `token ${++asked}`);
    expect([await tokens.get(), await tokens.get()]).toEqual(['token 1', 'token 1']);
    expect(tokens.refuse()).toBe(true);
    expect(await tokens.get()).toBe('token 2');
  });

  it('are given up after five refusals in a row, a fixed one after the first', () => {
    const tokens = new Tokens(() => 'x');
    expect([1, 2, 3, 4, 5, 6].map(() => tokens.refuse())).toEqual([true, true, true, true, true, false]);
    tokens.accepted();
    expect(tokens.refuse()).toBe(true);
    expect(new Tokens('fixed').refuse()).toBe(false);
  });

  it('whose function fails give a typed error', async () => {
    const tokens = new Tokens(() => Promise.reject(new Error('no network')));
    await expect(tokens.get()).rejects.toMatchObject({ code: 'token_failed', retryable: true });
  });
});
