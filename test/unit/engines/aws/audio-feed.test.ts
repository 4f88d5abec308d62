import type { AudioStream } from '@aws-sdk/client-transcribe-streaming';
import { describe, expect, it } from 'vitest';
import { AudioFeed } from '../../../../src/engines/aws/audio-feed.ts';

function start() {
  const taken: number[] = [];
  const feed = new AudioFeed((bytes) => taken.push(bytes));
  return { feed, taken, puller: feed[Symbol.asyncIterator]() };
}

function audioOf({ value }: IteratorResult<AudioStream, undefined>): string | undefined {
  const chunk = value?.AudioEvent?.AudioChunk;
  return chunk === undefined ? undefined : Buffer.from(chunk).toString();
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  return (await Promise.race([promise, new Promise((resolve) => setImmediate(resolve, pending))])) !== pending;
}

describe('AudioFeed', () => {
  it('gives chunks in order, and lets a writer go when its chunk is taken', async () => {
    const { feed, puller, taken } = start();
    const first = feed.push(Buffer.from('ab'));
    const second = feed.push(Buffer.from('cd'));
    expect(feed.waitingBytes).toBe(4);
    expect(audioOf(await puller.next())).toBe('ab');
    await first;
    expect(await isSettled(second)).toBe(false);
    expect(audioOf(await puller.next())).toBe('cd');
    await second;
    expect(taken).toEqual([2, 2]);
    expect(feed.waitingBytes).toBe(0);
  });

  it('gives a chunk at once to one who waits', async () => {
    const { feed, puller } = start();
    const next = puller.next();
    await feed.push(Buffer.from('ab'));
    expect(audioOf(await next)).toBe('ab');
  });

  it('never gives an empty chunk, which would end the stream', async () => {
    const { feed, puller } = start();
    await feed.push(Buffer.alloc(0));
    void feed.push(Buffer.from('ab'));
    expect(audioOf(await puller.next())).toBe('ab');
  });

  it('ends after what waits, and is drained only then', async () => {
    const { feed, puller } = start();
    void feed.push(Buffer.from('ab'));
    feed.end();
    feed.end();
    await feed.push(Buffer.from('late'));
    expect(audioOf(await puller.next())).toBe('ab');
    expect(feed.drained).toBe(false);
    expect((await puller.next()).done).toBe(true);
    expect(feed.drained).toBe(true);
    expect((await puller.next()).done).toBe(true);
  });

  it('closes at once: lets writers and a waiting puller go, and drops what waits', async () => {
    const { feed, puller, taken } = start();
    const writes = [feed.push(Buffer.from('ab')), feed.push(Buffer.from('cd'))];
    feed.close();
    await Promise.all(writes);
    expect((await puller.next()).done).toBe(true);
    expect(taken).toEqual([]);

    const other = start();
    const waiting = other.puller.next();
    other.feed.close();
    expect((await waiting).done).toBe(true);
  });
});
