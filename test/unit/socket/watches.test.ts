import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../../src/errors.ts';
import type { SendQueue } from '../../../src/socket/send-queue.ts';
import type { Viewer } from '../../../src/socket/viewer.ts';
import type { Viewers } from '../../../src/socket/viewers.ts';
import { Watches } from '../../../src/socket/watches.ts';

/** What becomes of watches: they are joined, and noted by session while they last. */
function watchesOf(join: () => Promise<void> = async () => undefined) {
  const open = new Set<string>();
  const viewers = {
    watch: ({ sessionId }: { sessionId: string }) => {
      open.add(sessionId);
      return { joined: join(), leave: () => void open.delete(sessionId) };
    },
  } as unknown as Viewers;
  const watches = new Watches(viewers, {
    socket: {} as Viewer['socket'],
    sendQueue: {} as SendQueue,
    failed: () => undefined,
  });
  return { watches, open };
}

const request = (sessionId: string) => ({ sessionId, watchToken: 'token', afterSeq: 0 });

describe('the watches of a connection', () => {
  it('are sixteen at most, and each that ends makes room', async () => {
    const { open, watches } = watchesOf();
    for (let n = 1; n <= 16; n++) await watches.begin(request(`s${n}`));
    await expect(watches.begin(request('s17'))).rejects.toMatchObject({ code: 'bad_request' });
    await watches.begin(request('s16'));
    watches.end('s1');
    await watches.begin(request('s17'));
    expect(open.size).toBe(16);
    watches.close();
    expect(open.size).toBe(0);
  });

  it('do not count those that were refused', async () => {
    const { watches } = watchesOf(() => Promise.reject(new GatewayError('watch_refused', 'no')));
    for (let n = 1; n <= 40; n++) await expect(watches.begin(request(`s${n}`))).rejects.toThrow('no');
  });
});
