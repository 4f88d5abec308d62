import { afterEach, describe, expect, it, vi } from 'vitest';
import { createLogger } from '../../../src/log.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import { sealNumbered } from '../../../src/resume/entries.ts';
import { sealPartial } from '../../../src/resume/partial-cipher.ts';
import { newSecrets } from '../../../src/resume/tokens.ts';
import type { LiveEvent, PodBus } from '../../../src/socket/pod-bus.ts';
import type { SendQueue } from '../../../src/socket/send-queue.ts';
import { Viewer } from '../../../src/socket/viewer.ts';
import { WatchedSession } from '../../../src/socket/watched-session.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { newSessionId } from '../../../src/store/session-id.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A session with one live viewer, whose owner is the test: what it commits and what it tells are apart. */
async function watched() {
  const sessionId = newSessionId('me');
  const secrets = newSecrets(sessionId);
  const store = new MemoryStore({ journal: { entries: 100, bytes: 1e6, ageMs: 1e6 }, ttlMs: 1e6 });
  const request = JSON.stringify({ request: { languageCode: 'en-US', sampleRate: 16_000 }, acks: true });
  const { resumeHash, watchHash } = secrets;
  const record = { sessionId, claimId: 'c1', principal: 'me', resumeHash, watchHash, request, owner: 'w' };
  await store.create({ ...record, channels: 1 });
  let tell: (event: LiveEvent) => void = () => undefined;
  const bus = {
    join: (_: string, listener: (event: LiveEvent) => void) => {
      tell = listener;
      return () => undefined;
    },
    announce: () => undefined,
  } as unknown as PodBus;
  const shown: unknown[] = [];
  const emit = (_: string, { is_partial, text }: { is_partial: boolean; text: string }) =>
    void shown.push([is_partial ? 'partial' : 'final', text]);
  const room = { emit, except: () => ({ emit }) };
  const io = { to: () => room } as unknown as ConstructorParameters<typeof WatchedSession>[0]['io'];
  const session = new WatchedSession({
    store,
    bus,
    io,
    sessionId,
    secrets,
    resumeWindowMs: 1_000,
    engineName: 'none',
    metrics: createMetrics(),
    log: createLogger('silent'),
    onIdle: () => undefined,
  });
  const socket = { id: 'v', emit, join: () => undefined, leave: () => undefined } as unknown as Viewer['socket'];
  const viewer = new Viewer({ socket, sendQueue: {} as SendQueue, afterSeq: 0, onOver: () => undefined });
  vi.spyOn(viewer, 'isBusy', 'get').mockReturnValue(false);
  closers.push(() => session.leave(viewer));
  await session.join(viewer);
  const said = (seq: number, text: string, isPartial: boolean) => {
    const [startSample, endSample] = [(seq - 1) * 100, seq * 100];
    return { resultId: text, isPartial, text, startSample, endSample };
  };
  return {
    shown,
    commit: async (seq: number, text: string) => {
      const result = said(seq, text, false);
      const body = { kind: 'final', result };
      const { endSample, startSample } = result;
      const entry = sealNumbered(secrets.journalKey, sessionId, { seq, startSample, endSample, body });
      const watermark = { offset: endSample, chunk: seq, chunkEnd: endSample };
      await store.append({ sessionId, epoch: 1, claimId: 'c1' }, entry, { ends: [endSample], watermark });
      return () => tell({ kind: 'entry', epoch: 1, entry });
    },
    tellPartial: (afterSeq: number, text: string, order: number) => {
      const sealed = sealPartial(secrets.journalKey, sessionId, afterSeq, said(afterSeq + 1, text, true));
      tell({ kind: 'partial', partial: { ...sealed, epoch: 1, order } });
    },
  };
}

describe('a viewer whose worker did not hear of a final', () => {
  it('gets it from the journal when a later partial is heard, and then that partial', async () => {
    const { commit, shown, tellPartial } = await watched();
    await commit(1, 'one');
    tellPartial(1, 'two, first', 1);
    tellPartial(1, 'two', 2);
    await expect
      .poll(() => shown)
      .toEqual([
        ['final', 'one'],
        ['partial', 'two'],
      ]);
  });

  it('gets no partial that a final has overtaken', async () => {
    const { commit, shown, tellPartial } = await watched();
    await commit(1, 'one');
    await commit(2, 'two');
    tellPartial(1, 'two, nearly', 1);
    await expect
      .poll(() => shown)
      .toEqual([
        ['final', 'one'],
        ['final', 'two'],
      ]);
  });
});
