/** What a client may send by each event: right, wrong, and in between. Made for `fast-check`. */
import fc from 'fast-check';
import { CLIENT_EVENTS, type ClientEvent } from '../../../src/protocol/events.ts';

/**
 * A text that stands for what is known only when it is sent: the session of the connection that sends it and its secrets, a
 * session of somebody else, or JSON that `JSON.stringify` cannot write. `write` puts it in.
 */
type Blank = '@session' | '@resume' | '@watch' | '@other' | `@json ${string}`;

/** What blanks are filled with. */
export interface Known {
  readonly session: string;
  readonly resume: string;
  readonly watch: string;
  /** Id of the session of somebody else. */
  readonly other: string;
}

const blank = (text: Blank) => fc.constant(text);
const DEEP = 2_000;
const deep = (open: string, close: string) => blank(`@json ${open.repeat(DEEP)}0${close.repeat(DEEP)}`);

const numbers = fc.oneof(
  fc.constantFrom(0, -1, 1, 2, 0.5, 1e12, 1e12 + 1, 2 ** 31, 2 ** 53, -(2 ** 53), 1e21, 1e308, 5e-324),
  fc.nat(100),
  fc.constantFrom<Blank>('@json -0', '@json 1e400', '@json -1e400', '@json 1E5', '@json 0.1e-7'),
);

/** Large ones are rare: one takes as long as a hundred others. */
const texts = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.constantFrom(
      '',
      ' ',
      '\0',
      '\u{1f4a5}',
      '\ud800',
      'null',
      '__proto__',
      'constructor',
      '../..',
      '%00',
      '{}',
      'x\r\ny',
    ),
  },
  { weight: 20, arbitrary: fc.string() },
  { weight: 5, arbitrary: fc.constantFrom('x'.repeat(101), '='.repeat(1_000)) },
  { weight: 1, arbitrary: fc.constantFrom('x'.repeat(8_193), 'é'.repeat(50_000)) },
);

const keys = fc.constantFrom(
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'then',
  'length',
  '_placeholder',
  'toJSON',
);

/** What no field is made for. */
const odd: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 20, arbitrary: numbers },
  { weight: 20, arbitrary: texts },
  { weight: 10, arbitrary: fc.constantFrom(null, true, false) },
  { weight: 10, arbitrary: fc.constantFrom([], {}, [[]], [null], { a: 1 }) },
  { weight: 5, arbitrary: fc.array(fc.oneof(numbers, fc.string()), { maxLength: 40 }) },
  {
    weight: 10,
    arbitrary: fc.dictionary(keys, fc.oneof(numbers, texts, fc.constant({ polluted: true })), { maxKeys: 3 }),
  },
  {
    weight: 10,
    arbitrary: fc.constant('@json {"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'),
  },
  { weight: 1, arbitrary: deep('[', ']') },
  { weight: 1, arbitrary: deep('{"a":', '}') },
);

const position = fc.oneof(fc.nat(20), fc.nat(32_000), fc.constant(1e12));

/** PCM as base64, of a length that a session takes; silence or noise. */
const chunk = fc.oneof(
  fc.constantFrom(2, 320, 640, 3_200, 32_000).map((bytes) => Buffer.alloc(bytes).toString('base64')),
  fc.uint8Array({ minLength: 2, maxLength: 64 }).map((bytes) => Buffer.from(bytes).toString('base64')),
);

const languages = fc.constantFrom('en-US', 'de-DE', 'es-ES', 'xx');

/** Right values, by event and field. */
const FIELDS: Readonly<Record<ClientEvent, Readonly<Record<string, fc.Arbitrary<unknown>>>>> = {
  start_transcription: {
    language_code: languages,
    identify_language: fc.constantFrom(true, false, 'one', 'several'),
    language_options: fc.array(languages, { maxLength: 3 }),
    preferred_language: languages,
    encoding: fc.constantFrom('pcm', 'opus', null),
    sample_rate: fc.constantFrom(8_000, 16_000, 48_000),
    channels: fc.constantFrom(1, 2),
    speaker_labels: fc.boolean(),
    partial_stability: fc.constantFrom('low', 'high', false),
    vocabulary: fc.constantFrom('names', ['names'], ['a', 'b']),
    vocabulary_filter: fc.constantFrom({ name: 'words', method: 'mask' }, { name: ['a', 'b'] }),
    language_model: fc.constant('model'),
    content_identification: fc.constantFrom(true, 'pii'),
    redaction: fc.constantFrom(true, 'pii'),
    entity_types: fc.constantFrom(['NAME'], ['ALL'], []),
    transcript_format: fc.constantFrom('written', 'spoken'),
    translate_to: fc.constantFrom('', 'de'),
    acks: fc.boolean(),
    start_key: fc.constantFrom('0123456789abcdef0123456789abcdef', 'AAAAAAAAAAAAAAAAAAAAAA=='),
    attempt: fc.integer({ min: 1, max: 5 }),
  },
  audio_chunk: { chunk, seq: fc.integer({ min: 1, max: 12 }), offset: position },
  stop_transcription: { last_chunk: fc.nat(5) },
  resume_transcription: {
    session_id: fc.constantFrom<Blank>('@session', '@other'),
    resume_token: fc.constantFrom<Blank>('@resume', '@watch'),
    attempt: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constant(1e12)),
    epoch: fc.oneof(fc.nat(3), fc.constant(1e12)),
    last_seq: position,
    last_end: position,
    acked: position,
    oldest_chunk: fc.integer({ min: 1, max: 20 }),
    oldest_offset: position,
  },
  pause_transcription: {},
  unpause_transcription: {},
  watch_transcription: {
    session_id: fc.constantFrom<Blank>('@session', '@other'),
    watch_token: fc.constantFrom<Blank>('@watch', '@resume'),
    after_seq: position,
  },
  unwatch_transcription: { session_id: fc.constantFrom<Blank>('@session', '@other') },
  refresh_token: { token: fc.string({ maxLength: 40 }) },
};

/** Fields that a right message has whatever else it says; any other may be missing. */
const NEEDED: Partial<Record<ClientEvent, readonly string[]>> = {
  audio_chunk: ['chunk'],
  resume_transcription: Object.keys(FIELDS.resume_transcription),
  watch_transcription: ['session_id', 'watch_token'],
  unwatch_transcription: ['session_id'],
  refresh_token: ['token'],
};

/** Right but for what the fields say together. */
function right(event: ClientEvent): fc.Arbitrary<Record<string, unknown>> {
  const all = Object.keys(FIELDS[event]);
  const few = fc.subarray(all, { maxLength: Math.min(4, all.length) });
  return few.chain((optional) => {
    const names = new Set([...(NEEDED[event] ?? []), ...optional]);
    return fc.record(Object.fromEntries(Object.entries(FIELDS[event]).filter(([name]) => names.has(name))));
  });
}

/** What one event brings as its data. @param event one of version 1 or 2 */
export function payloadOf(event: ClientEvent): fc.Arbitrary<unknown> {
  const spoilt = fc
    .tuple(right(event), fc.constantFrom(...Object.keys(FIELDS[event]), 'unknown'), odd)
    .map(([fields, name, value]) => ({ ...fields, [name]: value }));
  const extended = fc
    .tuple(right(event), fc.dictionary(keys, odd, { minKeys: 1, maxKeys: 2 }))
    .map(([fields, more]) => ({ ...fields, ...more }));
  return fc.oneof(
    { weight: 6, arbitrary: right(event) },
    { weight: 4, arbitrary: spoilt },
    { weight: 1, arbitrary: extended },
    { weight: 1, arbitrary: odd },
    { weight: 1, arbitrary: fc.constant(undefined) },
  );
}

export interface GeneratedEvent {
  readonly event: ClientEvent;
  readonly data: unknown;
}

/** Any event; those that need a session are more than those that begin and end one. */
export function anyEvent(events: readonly ClientEvent[] = CLIENT_EVENTS): fc.Arbitrary<GeneratedEvent> {
  const ofOne = (event: ClientEvent) => payloadOf(event).map((data) => ({ event, data }));
  return fc.oneof(
    ...events.map((event) => ({
      weight: event === 'audio_chunk' ? 6 : event === 'stop_transcription' ? 1 : 2,
      arbitrary: ofOne(event),
    })),
  );
}

/** The packet of Engine.IO that says it. @param id of the acknowledgement that is asked for */
export function write({ data, event }: GeneratedEvent, known: Known, id: number): string {
  const json = JSON.stringify(data === undefined ? [event] : [event, data])
    .replaceAll(/"@json ((?:[^"\\]|\\.)*)"/g, (_, raw: string) => JSON.parse(`"${raw}"`) as string)
    .replaceAll('@session', known.session)
    .replaceAll('@resume', known.resume)
    .replaceAll('@watch', known.watch)
    .replaceAll('@other', known.other);
  return `42${id}${json}`;
}
