import { describe, expect, it } from 'vitest';
import type { EngineResult } from '../../../../src/engines/engine.ts';
import { LocalStream, type StreamLink } from '../../../../src/engines/local/local-stream.ts';
import { GatewayError } from '../../../../src/errors.ts';

class FakeLink implements StreamLink {
  readonly sent: string[] = [];
  brokenBy: GatewayError | undefined;
  samples = 0;
  audio(audio: Buffer): void {
    this.samples += audio.length / 2;
  }
  end(): void {
    this.sent.push('end');
  }
  abort(): void {
    this.sent.push('abort');
  }
  closed(brokenBy?: GatewayError): void {
    this.brokenBy = brokenBy;
    this.sent.push('closed');
  }
  processed(): void {}
}

function result(id: number, isPartial = false, text = 'one'): EngineResult {
  return { resultId: String(id), isPartial, text, startSample: id, endSample: id + 1 };
}

const second = () => Buffer.alloc(32_000);

describe('LocalStream', () => {
  it('holds audio back while a second is undecoded, and the end behind it', async () => {
    const link = new FakeLink();
    const stream = new LocalStream(link);
    await stream.write(second());
    const waiting = stream.write(Buffer.alloc(3_200));
    stream.end();
    expect(link).toMatchObject({ samples: 16_000, sent: [] });
    stream.receive({ type: 'processed', samples: 1_600 });
    await waiting;
    expect(link).toMatchObject({ samples: 17_600, sent: ['end'] });
  });

  it('stops sending audio while nobody reads, and goes on with the reader', async () => {
    const link = new FakeLink();
    const stream = new LocalStream(link);
    for (let id = 0; id < 64; id++) stream.receive({ type: 'result', result: result(id) });
    const writing = stream.write(Buffer.alloc(3_200));
    expect(link.samples).toBe(0);
    await stream.results[Symbol.asyncIterator]().next();
    await writing;
    expect(link.samples).toBe(1_600);
  });

  it('replaces a waiting partial by the next result of its utterance', async () => {
    const stream = new LocalStream(new FakeLink());
    stream.receive({ type: 'result', result: result(1, true, 'one') });
    stream.receive({ type: 'result', result: result(1, true, 'one two') });
    stream.receive({ type: 'result', result: result(1, false, 'one two three') });
    stream.receive({ type: 'result', result: result(2, true, 'four') });
    stream.receive({ type: 'ended' });
    const texts: string[] = [];
    for await (const { text } of stream.results) texts.push(text);
    expect(texts).toEqual(['one two three', 'four']);
  });

  it('gives what it received before it breaks', async () => {
    const stream = new LocalStream(new FakeLink());
    stream.receive({ type: 'result', result: result(1) });
    stream.break(new GatewayError('engine_unavailable', 'gone'));
    const results = stream.results[Symbol.asyncIterator]();
    expect(await results.next()).toMatchObject({ value: { resultId: '1' } });
    await expect(results.next()).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(await results.next()).toMatchObject({ done: true });
  });

  it('lets a waiting writer go when it breaks, and takes no more', async () => {
    const link = new FakeLink();
    const stream = new LocalStream(link);
    await stream.write(second());
    const waiting = stream.write(second());
    stream.break(new GatewayError('engine_unavailable', 'gone'));
    await waiting;
    await stream.write(second());
    expect(link).toMatchObject({ samples: 16_000, sent: ['abort', 'closed'] });
  });

  it('tells its process why it broke, and no reason when it ended or was aborted', () => {
    const outcome = (over: (stream: LocalStream) => void) => {
      const link = new FakeLink();
      over(new LocalStream(link));
      return [link.sent.at(-1), link.brokenBy?.code];
    };
    const gone = new GatewayError('engine_unavailable', 'gone');
    expect(outcome((stream) => stream.break(gone))).toEqual(['closed', 'engine_unavailable']);
    expect(outcome((stream) => stream.receive({ type: 'failed' }))).toEqual(['closed', 'engine_unavailable']);
    expect(outcome((stream) => stream.receive({ type: 'ended' }))).toEqual(['closed', undefined]);
    expect(outcome((stream) => stream.abort())).toEqual(['closed', undefined]);
  });

  it('is aborted by a reader that leaves', async () => {
    const link = new FakeLink();
    const stream = new LocalStream(link);
    stream.receive({ type: 'result', result: result(1) });
    for await (const _ of stream.results) break;
    expect(link.sent).toEqual(['abort', 'closed']);
  });

  it('counts the ticks in which an answer is owed and nothing comes', async () => {
    const stream = new LocalStream(new FakeLink());
    // The stream may merely wait its turn to be opened: its process counts that.
    expect([stream.tick(), stream.tick()]).toEqual([0, 0]);
    await stream.write(second());
    expect([stream.tick(), stream.tick()]).toEqual([1, 2]);
    stream.receive({ type: 'processed', samples: 1_600 });
    expect(stream.tick()).toBe(1);
    stream.receive({ type: 'processed', samples: 16_000 });
    expect(stream.tick()).toBe(0);
    stream.end();
    expect(stream.tick()).toBe(1);
  });
});
