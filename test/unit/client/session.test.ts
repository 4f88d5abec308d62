import { describe, expect, it } from 'vitest';
import { Coverage } from '../../../src/client/coverage.ts';
import type { Entry, PartialResult } from '../../../src/client/events.ts';
import { AudioRing } from '../../../src/client/ring.ts';
import { Sessions } from '../../../src/client/sessions.ts';

const RESUMABLE = { session_id: 's', resume_token: 't', epoch: 1 };
const range = (start: number, end: number) => ({ start_sample: start, end_sample: end });

function world(channels: 1 | 2 = 1, keepBytes = 1_000_000) {
  const ring = new AudioRing({ bytes: keepBytes, ageMs: 1e9 }, 2 * channels);
  const coverage = new Coverage(channels);
  const entries: Entry[] = [];
  const partials: PartialResult[] = [];
  const output = { entry: (entry: Entry) => entries.push(entry), partial: (one: PartialResult) => partials.push(one) };
  const sessions = new Sessions({ ring, coverage, channels, sampleRate: 16_000, output });
  const record = (chunks: number) => {
    for (let chunk = 0; chunk < chunks; chunk += 1) {
      ring.push(new Uint8Array(1_600 * 2 * channels).fill(1), 0);
      ring.enforce(0);
    }
  };
  return { coverage, entries, partials, record, ring, sessions };
}

describe('a session', () => {
  it('is one while its name is the same, and knows what is about it', () => {
    const { sessions } = world();
    const session = sessions.of(RESUMABLE);
    expect(sessions.of(RESUMABLE)).toBe(session);
    expect([sessions.isOurs({}), sessions.isOurs(RESUMABLE), sessions.isOurs({ session_id: 'x' })]).toEqual([
      true,
      true,
      false,
    ]);
    expect(sessions.of({ ...RESUMABLE, session_id: 'x' })).not.toBe(session);
    expect(sessions.count).toBe(2);
  });

  it('outlives its connection only with a resume token', () => {
    const { sessions } = world();
    const session = sessions.of(RESUMABLE);
    sessions.connectionLost();
    expect(sessions.current).toBe(session);
    sessions.of({ session_id: 'old' });
    sessions.connectionLost();
    expect(sessions.current).toBeUndefined();
  });

  it('says in a resume what it was given and what is kept, by its own numbers', () => {
    const { record, sessions } = world();
    record(10);
    const session = sessions.of(RESUMABLE);
    session.begin();
    session.result({ text: 'a', is_partial: false, seq: 1, epoch: 2, ...range(0, 5_000) });
    session.acknowledged({ seq: 3, offset: 5_000 });
    session.result({ text: 'b', is_partial: false, seq: 2, epoch: 2, durable: false, ...range(5_000, 8_000) });
    expect(session.resumeMessage(7)).toEqual({
      session_id: 's',
      resume_token: 't',
      attempt: 7,
      epoch: 2,
      last_seq: 2,
      last_end: 8_000,
      acked: 5_000,
      oldest_chunk: 4,
      oldest_offset: 4_800,
    });
  });

  it('begins, after another, where the entries end, to the sample, also those that were provisional', () => {
    const { entries, record, ring, sessions } = world();
    record(10);
    sessions.of(RESUMABLE).begin();
    sessions.current?.result({ text: 'a', is_partial: false, seq: 1, durable: false, ...range(0, 5_000) });
    const next = sessions.of({ ...RESUMABLE, session_id: 'x' });
    expect(next.begin().base).toEqual({ chunks: 3, samples: 5_000, entries: 1 });
    expect(ring.oldest).toMatchObject({ number: 4, offset: 5_000 });
    expect(next.resumeMessage(1)).toMatchObject({ last_seq: 0, acked: 0, oldest_chunk: 1, oldest_offset: 0 });
    next.result({ text: 'b', is_partial: false, seq: 1, ...range(0, 100) });
    expect(entries).toMatchObject([
      { seq: 1, startSample: 0, durable: false },
      { seq: 2, startSample: 5_000, durable: true },
    ]);
  });

  it('reports a gap of its own for what is not kept any more', () => {
    const { entries, record, sessions } = world(1, 6_400);
    record(10);
    const session = sessions.of(RESUMABLE);
    expect(session.begin().base).toMatchObject({ samples: 12_800, entries: 1 });
    session.result({ text: 'a', is_partial: false, seq: 1, ...range(0, 100) });
    expect(entries).toMatchObject([
      { kind: 'gap', seq: 1, fromSample: 0, toSample: 12_800, fromMs: 0, toMs: 800, reason: 'not_kept' },
      { kind: 'final', seq: 2, startSample: 12_800 },
    ]);
  });

  it('replays a channel as silence before its own last final', () => {
    const { record, ring, sessions } = world(2);
    record(3);
    sessions.of(RESUMABLE).begin();
    sessions.current?.result({ text: 'a', is_partial: false, seq: 1, channel: 1, ...range(0, 2_000) });
    sessions.current?.result({ text: 'b', is_partial: false, seq: 2, channel: 0, ...range(0, 1_000) });
    sessions.of({ ...RESUMABLE, session_id: 'x' }).begin();
    expect(ring.oldest).toMatchObject({ number: 1, offset: 1_000 });
    expect([...(ring.get(1)?.audio.slice(0, 4) ?? [])]).toEqual([1, 1, 0, 0]);
    const second = ring.get(2)?.audio ?? new Uint8Array();
    expect([...second.slice(399 * 4, 401 * 4)]).toEqual([1, 1, 0, 0, 1, 1, 1, 1]);
  });

  it('takes a trimmed journal for one gap, and asks for a resume when an entry is missing', () => {
    const { entries, record, sessions } = world();
    record(10);
    const session = sessions.of(RESUMABLE);
    session.begin();
    expect(session.result({ text: 'c', is_partial: false, seq: 3, ...range(0, 1) })).toBe(false);
    const gap = { session_id: 's', from_sample: 0, to_sample: 5_000, from_ms: 0, to_ms: 312, seq: 4, replayed: true };
    expect(session.gap({ ...gap, reason: 'engine_failed' })).toBe(false);
    expect(session.gap({ ...gap, reason: 'journal_trimmed' })).toBe(true);
    expect(session.result({ text: 'e', is_partial: false, seq: 5, ...range(5_000, 6_000) })).toBe(true);
    expect(entries.map(({ seq }) => seq)).toEqual([4, 5]);
  });

  it('shows no partial of a replaced owner', () => {
    const { partials, record, sessions } = world();
    record(1);
    const session = sessions.of(RESUMABLE);
    session.begin();
    session.sawEpoch(3);
    session.result({ text: 'old', is_partial: true, epoch: 2, after_seq: 0, ...range(0, 1) });
    session.result({ text: 'new', is_partial: true, epoch: 3, after_seq: 0, ...range(0, 1) });
    expect(partials.map(({ text }) => text)).toEqual(['new']);
  });
});

describe('a session that acknowledges nothing', () => {
  it('frees audio by the ends of its finals', () => {
    const { record, ring, sessions } = world();
    record(10);
    const session = sessions.of({ session_id: 'old' });
    session.begin();
    session.result({ text: 'a', is_partial: false, ...range(0, 5_000) });
    expect(ring.oldest.number).toBe(4);
  });

  it('takes half a minute without a word for silence, unless a partial is open', () => {
    const { coverage, record, sessions } = world();
    record(310);
    const session = sessions.of({ session_id: 'old' });
    session.begin();
    session.result({ text: 'he', is_partial: true, ...range(0, 100) });
    session.forgetSilence(496_000);
    expect(coverage.position).toBe(0);
    session.result({ text: 'hello', is_partial: false, ...range(0, 100) });
    session.forgetSilence(496_000);
    expect(coverage.position).toBe(16_000);
    session.forgetSilence(10_000);
    expect(coverage.position).toBe(16_000);
  });
});
