import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_CHUNK_BYTES } from '../../../src/protocol/audio.ts';
import { parseAudioChunk, parseStart } from '../../../src/protocol/payloads.ts';
import { startFieldsV2 } from '../../../src/protocol/start-fields.ts';
import { onlyRefuses, refusal } from './refusal.ts';

/** Whole samples, at least one. */
const samples = fc
  .uint8Array({ minLength: 2, maxLength: 2_000 })
  .map((bytes) => Buffer.from(bytes.subarray(0, bytes.length - (bytes.length % 2))));

/** Text with white space put in at any places. */
const broken = (text: string) =>
  fc
    .array(fc.tuple(fc.nat(text.length), fc.constantFrom('\n', '\r\n', ' ', '\t')), { maxLength: 20 })
    .map((breaks) =>
      breaks
        .toSorted(([a], [b]) => b - a)
        .reduce((whole, [at, space]) => whole.slice(0, at) + space + whole.slice(at), text),
    );

/** What a client may get wrong: near-base64 as well as any text. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('A', 'z', '0', '+', '/', '=', '-', '_', '\n', '\0', 'é') }),
  fc.base64String(),
);

/** Messages hold the name of a field and never what a client sent in it. */
const SECRET = 'secret-of-the-client';

describe('parseAudioChunk', () => {
  it('returns the bytes of any whole samples sent as base64', () => {
    fc.assert(
      fc.property(samples, (audio) => {
        expect(parseAudioChunk({ chunk: audio.toString('base64') }).equals(audio)).toBe(true);
      }),
    );
  });

  it('returns the same bytes when line breaks and spaces are anywhere in the base64', () => {
    const cases = samples.chain((audio) => fc.tuple(fc.constant(audio), broken(audio.toString('base64'))));
    fc.assert(
      fc.property(cases, ([audio, chunk]) => {
        expect(parseAudioChunk({ chunk }).equals(audio)).toBe(true);
      }),
    );
  });

  it('returns the same bytes when every 76 characters end with a line break, as Android encodes', () => {
    const audio = Buffer.alloc(3_200, 'ab');
    const chunk = audio.toString('base64').replace(/.{1,76}/g, '$&\n');
    expect(parseAudioChunk({ chunk }).equals(audio)).toBe(true);
  });

  it('returns the bytes of a view into a larger buffer and nothing around them', () => {
    fc.assert(
      fc.property(samples, fc.nat(7), (audio, before) => {
        const around = new Uint8Array(audio.length + before + 5).fill(0xff);
        around.set(audio, before);
        const view = around.subarray(before, before + audio.length);
        expect(parseAudioChunk({ chunk: view }).equals(audio)).toBe(true);
        expect(parseAudioChunk({ chunk: audio }).equals(audio)).toBe(true);
      }),
    );
  });

  it('ignores fields it does not know beside the chunk', () => {
    expect(parseAudioChunk({ chunk: 'AAA=', seq: 'any' })).toHaveLength(2);
  });

  it('refuses an odd number of bytes with bad_audio, as base64 and as bytes', () => {
    fc.assert(
      fc.property(samples, (audio) => {
        const odd = audio.subarray(1);
        for (const chunk of [odd, odd.toString('base64')]) {
          expect(refusal(() => parseAudioChunk({ chunk })).code).toBe('bad_audio');
        }
      }),
    );
  });

  it.each([
    ['as bytes', (audio: Buffer) => audio],
    ['as base64', (audio: Buffer) => audio.toString('base64')],
    ['as base64 with line breaks', (audio: Buffer) => audio.toString('base64').replace(/.{1,76}/g, '$&\r\n')],
  ])('accepts exactly one second and refuses one sample more with bad_audio, %s', (_, encode) => {
    expect(parseAudioChunk({ chunk: encode(Buffer.alloc(MAX_CHUNK_BYTES)) })).toHaveLength(32_000);
    const refused = refusal(() => parseAudioChunk({ chunk: encode(Buffer.alloc(MAX_CHUNK_BYTES + 2)) }));
    expect(refused.code).toBe('bad_audio');
  });

  it('refuses text far beyond one second with bad_audio, whatever it holds', () => {
    const refused = refusal(() => parseAudioChunk({ chunk: '\n'.repeat(1_000_000) }));
    expect(refused).toMatchObject({ code: 'bad_audio', message: expect.stringContaining('too long') });
  });

  it.each([
    ['text that is empty', ''],
    ['text of line breaks only', '\r\n'],
    ['bytes that are empty', new Uint8Array()],
  ])('refuses %s as an empty chunk', (_, chunk) => {
    const refused = refusal(() => parseAudioChunk({ chunk }));
    expect(refused).toMatchObject({ code: 'bad_audio', message: expect.stringContaining('empty') });
  });

  it.each([
    ['a character that is not base64', 'AA!A'],
    ['the URL alphabet', 'AA-_AA=='],
    ['missing padding', 'AAA'],
    ['padding in the middle', 'AAA=AAAA'],
    ['a data URL', 'data:audio/pcm;base64,AAAA'],
    ['only padding', '===='],
    ['a character that is not ASCII', 'AAé='],
  ])('refuses base64 with %s with bad_audio', (_, chunk) => {
    expect(refusal(() => parseAudioChunk({ chunk }))).toMatchObject({
      code: 'bad_audio',
      message: 'audio_chunk: the chunk is not base64.',
    });
  });

  it.each([
    ['no data', undefined],
    ['null', null],
    ['text', 'AAAA'],
    ['an array', ['AAAA']],
    ['no chunk', {}],
    ['a chunk that is null', { chunk: null }],
    ['a chunk that is a number', { chunk: 5 }],
    ['a chunk that is an array of numbers', { chunk: [0, 0] }],
    ['a chunk that is an ArrayBuffer', { chunk: new ArrayBuffer(2) }],
  ])('refuses %s with bad_request', (_, data) => {
    const refused = refusal(() => parseAudioChunk(data));
    expect(refused.code).toBe('bad_request');
    expect(refused.message).toMatch(/^audio_chunk: /);
  });

  it('throws nothing but bad_audio for any text as chunk', () => {
    fc.assert(
      fc.property(anyText, (chunk) => onlyRefuses(() => parseAudioChunk({ chunk }), ['bad_audio'])),
      { numRuns: 1_000 },
    );
  });

  // Node's decoder reads the low byte of a wide character: to it, U+0141 is an A.
  it('refuses a wide character whose low byte is a base64 character', () => {
    expect(refusal(() => parseAudioChunk({ chunk: 'AA\u0141A\u0141A==' })).code).toBe('bad_audio');
  });

  it('takes no text for audio that does not encode back to itself but for white space', () => {
    fc.assert(
      fc.property(anyText, (chunk) => {
        let audio: Buffer;
        try {
          audio = parseAudioChunk({ chunk });
        } catch {
          return;
        }
        const given = chunk.replace(/\s/g, '');
        const encoded = audio.toString('base64');
        // The last character before padding has bits that decoders ignore.
        const significant = encoded.indexOf('=') === -1 ? encoded.length : encoded.indexOf('=') - 1;
        expect(given).toHaveLength(encoded.length);
        expect(given.slice(0, significant)).toBe(encoded.slice(0, significant));
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([
    [8_000, 1, 2, 16_000],
    [16_000, 2, 4, 64_000],
    [48_000, 2, 4, 192_000],
  ] as const)('at %d Hz with %d channel(s) takes whole frames of %d bytes up to %d bytes', (...row) => {
    const [sampleRate, channels, frame, second] = row;
    const parse = (bytes: number) => {
      const audio = Buffer.alloc(bytes);
      const parsed = parseAudioChunk({ chunk: audio }, { sampleRate, channels });
      expect(parseAudioChunk({ chunk: audio.toString('base64') }, { sampleRate, channels })).toHaveLength(bytes);
      return parsed.length;
    };
    expect(parse(frame)).toBe(frame);
    expect(parse(second)).toBe(second);
    const tooLong = refusal(() => parse(second + frame));
    expect(tooLong).toMatchObject({ code: 'bad_audio', message: expect.stringContaining(`at most ${second}`) });
    for (let bytes = frame + 1; bytes < frame * 2; bytes++) {
      const cut = refusal(() => parse(bytes));
      expect(cut).toMatchObject({ code: 'bad_audio', message: expect.stringContaining(`a frame has ${frame}.`) });
    }
  });

  it('throws nothing but bad_audio and bad_request for any data', () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.record({ chunk: fc.anything() })), (data) =>
        onlyRefuses(() => parseAudioChunk(data), ['bad_audio', 'bad_request']),
      ),
      { numRuns: 500 },
    );
  });

  it('never repeats what the client sent in its message', () => {
    for (const data of [SECRET, { chunk: SECRET }, { chunk: { [SECRET]: SECRET } }, [SECRET]]) {
      expect(refusal(() => parseAudioChunk(data)).message).not.toContain(SECRET);
    }
  });
});

describe('parseStart', () => {
  const FIELDS = Object.keys(startFieldsV2.shape);
  const versions = [1, 2] as const;

  it.each(versions)('means US English at 16 kHz when version %d gives no data or no language', (version) => {
    for (const data of [undefined, null, {}, { language_code: undefined }]) {
      expect(parseStart(data, version)).toEqual({ languageCode: 'en-US', sampleRate: 16_000, channels: 1 });
    }
  });

  it.each(versions)('returns the language as version %d gives it', (version) => {
    expect(parseStart({ language_code: 'de-CH' }, version).languageCode).toBe('de-CH');
    expect(parseStart({ language_code: 'x'.repeat(35) }, version).languageCode).toHaveLength(35);
  });

  it.each(versions)('refuses a faulty language of version %d by the name of its field', (version) => {
    for (const language_code of ['', 'x'.repeat(36), 5, ['en-US']]) {
      const refused = refusal(() => parseStart({ language_code }, version));
      expect(refused.code).toBe('bad_request');
      expect(refused.message).toMatch(/^start_transcription: language_code: /);
    }
  });

  it('takes null for no language in version 2, but not in version 1', () => {
    expect(parseStart({ language_code: null }, 2).languageCode).toBe('en-US');
    expect(refusal(() => parseStart({ language_code: null }, 1)).message).toContain('language_code: ');
  });

  it.each(versions)('refuses data of version %d that is not an object with bad_request', (version) => {
    for (const data of ['en-US', 5, true, ['en-US']]) {
      expect(refusal(() => parseStart(data, version)).code).toBe('bad_request');
    }
  });

  it.each(versions)('throws nothing but refusals for any data of version %d', (version) => {
    const data = fc.oneof(fc.anything(), fc.dictionary(fc.constantFrom(...FIELDS), fc.anything()));
    fc.assert(
      fc.property(data, (given) =>
        onlyRefuses(() => parseStart(given, version), ['bad_request', 'unsupported_encoding']),
      ),
      { numRuns: 500 },
    );
  });

  it.each(versions)('never repeats what the client sent in a message of version %d', (version) => {
    for (const data of [SECRET, { language_code: SECRET.repeat(5) }, { language_code: { [SECRET]: 1 } }]) {
      expect(refusal(() => parseStart(data, version)).message).not.toContain(SECRET);
    }
  });

  it('ignores every field but the language for version 1, also those that version 2 refuses', () => {
    const others = fc.dictionary(fc.constantFrom(...FIELDS, 'anything'), fc.anything());
    fc.assert(
      fc.property(others, (data) => {
        expect(parseStart({ ...data, language_code: 'fr-FR' }, 1)).toEqual({
          languageCode: 'fr-FR',
          sampleRate: 16_000,
          channels: 1,
        });
      }),
    );
  });

  it('takes pcm with one or two channels and a whole sample rate from 8000 to 48000 Hz from version 2', () => {
    for (const [channels, sample_rate] of [
      [1, 8000],
      [2, 44_100],
      [2, 48_000],
    ]) {
      const request = parseStart({ encoding: 'pcm', channels, sample_rate }, 2);
      expect(request).toMatchObject({ channels, sampleRate: sample_rate });
    }
  });

  it('takes null for the encoding, the sample rate and the channels that version 2 has without them', () => {
    const request = parseStart({ encoding: null, channels: null, sample_rate: null }, 2);
    expect(request).toEqual({ languageCode: 'en-US', sampleRate: 16_000, channels: 1 });
  });

  it.each(['opus', 'flac', 'PCM', ''])('refuses encoding "%s" of version 2 with unsupported_encoding', (encoding) => {
    const refused = refusal(() => parseStart({ encoding }, 2));
    expect(refused.code).toBe('unsupported_encoding');
    expect(refused.message).toContain('encoding');
  });

  it.each([
    ['encoding', 5],
    ['sample_rate', 0],
    ['sample_rate', 7999],
    ['sample_rate', 48_001],
    ['sample_rate', -16_000],
    ['sample_rate', 16_000.5],
    ['sample_rate', Number.NaN],
    ['sample_rate', '16000'],
    ['channels', 3],
    ['channels', 0],
    ['channels', '1'],
  ])('refuses a faulty %s of version 2 by name: %s', (field, value) => {
    const refused = refusal(() => parseStart({ [field]: value }, 2));
    expect(refused.code).toBe('bad_request');
    expect(refused.message).toContain(`start_transcription: ${field}: `);
  });

  it('names every faulty field of version 2 when there are several', () => {
    const { message } = refusal(() => parseStart({ language_code: 5, channels: 3, sample_rate: 0 }, 2));
    for (const field of ['language_code', 'channels', 'sample_rate']) expect(message).toContain(`${field}: `);
  });
});
