import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Server } from 'socket.io';
import { afterEach, describe, expect, it } from 'vitest';
import type { Entry, TranscriptionOptions } from '../../src/client/index.ts';
import type { ResumeMessage, StartMessage } from '../../src/protocol/client-messages.ts';
import { silence } from '../support/client.ts';
import { codedAudio } from '../support/coded-audio.ts';
import { type ModelOptions, ProtocolModel } from '../support/protocol-model.ts';
import { isClean } from '../support/reconcile.ts';
import { accountOf, orderFaults, QUICK, type Recorded, recorded, speak, speech } from '../unit/client/spoken.ts';

const open: { close(): unknown }[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

async function serverAndClient(
  options: ModelOptions = {},
  clientOptions: Partial<TranscriptionOptions> = {},
): Promise<Recorded & { model: ProtocolModel }> {
  const model = await ProtocolModel.listen(options);
  const record = recorded({ url: model.url, ...clientOptions });
  open.push(record.client, model);
  return { model, ...record };
}

const next = <T>(subscribe: (listener: (event: T) => void) => unknown): Promise<T> =>
  new Promise((resolve) => void subscribe(resolve));

async function collected(entries: AsyncIterable<Entry>): Promise<Entry[]> {
  const all: Entry[] = [];
  for await (const entry of entries) all.push(entry);
  return all;
}

describe('a transcription', () => {
  it('starts with a random key and its fields by their names on the wire', async () => {
    const { client, model } = await serverAndClient(
      {},
      { language: 'de-DE', speakerLabels: true, vocabulary: ['a', 'b'] },
    );
    await client.start();
    const [start] = model.all('start_transcription') as [StartMessage];
    expect(start.start_key).toMatch(/^[0-9a-f]{32}$/);
    const { start_key: _, ...rest } = start;
    expect(rest).toEqual({
      language_code: 'de-DE',
      encoding: 'pcm',
      speaker_labels: true,
      vocabulary: ['a', 'b'],
      attempt: 1,
      acks: true,
    });
  });

  it('goes from connecting over live to stopped, and sums up', async () => {
    const { client, states } = await serverAndClient();
    const audio = speech(1, 3);
    expect(client.state).toBe('idle');
    await client.start();
    await speak(client, audio.pcm);
    const summary = await client.stop();
    expect(states.map(({ state }) => state)).toEqual(['connecting', 'live', 'stopped']);
    const audioMs = audio.pcm.length / 32;
    expect(summary).toEqual({
      reason: 'client_stop',
      audioMs,
      finals: 3,
      gaps: 0,
      lostMs: 0,
      durable: true,
      sessions: 1,
    });
    await expect(client.stop()).resolves.toEqual(summary);
  });

  it('can be iterated: finals in order, and then the end', async () => {
    const { client } = await serverAndClient();
    const audio = speech(2, 3);
    const reading = collected(client);
    void client.start();
    await speak(client, audio.pcm);
    await client.stop();
    expect((await reading).map((entry) => entry.seq)).toEqual([1, 2, 3]);
    expect(await collected(client)).toEqual([]);
  });

  it('keeps audio that is sent before the session has started', async () => {
    const { client, entries } = await serverAndClient();
    const audio = speech(3, 3);
    client.send(audio.pcm);
    await client.start();
    await client.stop();
    expect(isClean(accountOf(audio, entries))).toBe(true);
  });

  it('shows partials by the positions of the transcription', async () => {
    const { client } = await serverAndClient();
    const audio = codedAudio({ utterances: 1, blocks: 30, silentBlocks: 3 });
    const partial = next<{ startSample: number; text: string }>((listener) => client.once('partial', listener));
    await client.start();
    client.send(audio.pcm);
    expect(await partial).toMatchObject({ startSample: 960, text: 'b1 b2 b3 b4 b5 b6 b7 b8 b9 b10' });
  });
});

describe('resume', () => {
  it('says what the client has: entries, epoch, acknowledged and kept audio', async () => {
    const { client, entries, model, states } = await serverAndClient();
    const audio = codedAudio({ utterances: 2, blocks: 10, silentBlocks: 5 });
    await client.start();
    client.send(audio.pcm.subarray(0, 20 * 640));
    await expect.poll(() => entries.length).toBe(1);
    await expect.poll(() => model.position).toBe(20 * 320);
    model.cut();
    await next((listener) => client.once('state', listener));
    await expect.poll(() => client.state).toBe('live');
    const [start] = model.all('start_transcription') as [StartMessage];
    const [resume] = model.all('resume_transcription') as [ResumeMessage];
    expect(resume).toMatchObject({ attempt: start.attempt + 1, epoch: 1, last_seq: 1, last_end: 15 * 320 });
    expect(resume).toMatchObject({ acked: 20 * 320, oldest_chunk: 5, oldest_offset: 20 * 320 });
    expect(states.map(({ state }) => state)).toEqual(['connecting', 'live', 'resuming', 'live']);
  });

  it('follows when an entry was skipped', async () => {
    const { client, entries, model } = await serverAndClient();
    await client.start();
    model.emitToAll('transcription_result', {
      text: 'out of turn',
      is_partial: false,
      seq: 3,
      start_sample: 0,
      end_sample: 1,
    });
    await expect.poll(() => model.all('resume_transcription').length).toBe(1);
    expect(entries).toEqual([]);
  });

  it('is given up for a new session when it does not help', async () => {
    const { client, model } = await serverAndClient();
    const skipped = { text: 'out of turn', is_partial: false, seq: 3, start_sample: 0, end_sample: 1 };
    client.on('state', ({ state }) => {
      if (state === 'live' && model.all('start_transcription').length === 1)
        model.emitToAll('transcription_result', skipped);
    });
    await client.start();
    await expect.poll(() => model.all('start_transcription')).toMatchObject([{ attempt: 1 }, { attempt: 5 }]);
    expect(model.all('resume_transcription')).toHaveLength(3);
    await expect(client.stop()).resolves.toMatchObject({ sessions: 2 });
  });

  it('is refused for good when another device has a higher attempt', async () => {
    const { client, model } = await serverAndClient();
    await client.start();
    model.emitToAll('error', { message: '', code: 'resume_refused', attempt: 7 });
    await expect(client.stop()).rejects.toMatchObject({ code: 'resume_refused', retryable: false });
    expect(client.state).toBe('stopped');
  });

  it('outbids an attempt of its own that came late', async () => {
    const { client, model } = await serverAndClient();
    await client.start();
    model.emitToAll('error', { message: '', code: 'resume_refused', attempt: 1 });
    await expect.poll(() => model.all('resume_transcription')).toMatchObject([{ attempt: 2 }]);
    await expect.poll(() => client.state).toBe('live');
  });

  it('obeys a draining server within its time', async () => {
    const { client, entries, model, retries } = await serverAndClient();
    const audio = speech(4, 6);
    await client.start();
    await speak(client, audio.pcm, (chunk) => {
      if (chunk === 5) model.emitToAll('server_draining', { reconnect_within_ms: 60, jitter_ms: 20 });
    });
    await client.stop();
    expect(model.all('resume_transcription')).toHaveLength(1);
    expect(retries).toEqual([]);
    expect(isClean(accountOf(audio, entries))).toBe(true);
  });

  it('repeats the stop until it is answered', async () => {
    let faults = 3;
    const { client, model } = await serverAndClient({
      fault: (moment) => (moment === 'stop' && faults-- > 0 ? 'cut' : undefined),
    });
    await client.start();
    client.send(silence(500));
    await expect(client.stop()).resolves.toMatchObject({ reason: 'client_stop', sessions: 1 });
    expect(model.all('stop_transcription')).toEqual([{ last_chunk: 5 }]);
    expect(model.all('resume_transcription')).toHaveLength(1);
  });

  it('says the stop again when the last chunk was lost', async () => {
    const audio = codedAudio({ utterances: 1, blocks: 9, silentBlocks: 1 });
    let chunks = 0;
    const fault: ModelOptions['fault'] = (moment) => {
      if (moment !== 'chunk') return undefined;
      chunks += 1;
      return chunks === 3 ? 'lose' : undefined;
    };
    const { client, entries, model } = await serverAndClient({ fault });
    await client.start();
    client.send(audio.pcm);
    await client.stop();
    expect(model.all('stop_transcription')).toEqual([{ last_chunk: 3 }, { last_chunk: 3 }]);
    expect(isClean(accountOf(audio, entries))).toBe(true);
  });

  it('takes a connection for dead that owes an answer and says nothing', async () => {
    let faults = 1;
    const fault: ModelOptions['fault'] = (moment) => (moment === 'start' && faults-- > 0 ? 'lose' : undefined);
    const { client, model, retries } = await serverAndClient({ fault }, { unresponsiveMs: 100 });
    await client.start();
    expect(retries.map(({ error }) => error.code)).toEqual(['no_answer']);
    const [first, second] = model.all('start_transcription') as [StartMessage, StartMessage];
    expect(second).toEqual({ ...first, attempt: 2 });
    expect(model.sessions).toBe(1);
  });
});

/** A server that loses every chunk from the twelfth on until the session is resumed. */
function losingChunks() {
  let isCut = false;
  const server = {
    chunks: 0,
    fault: ((moment) => {
      if (moment === 'resume') isCut = false;
      if (moment === 'chunk' && ++server.chunks === 12) isCut = true;
      return moment === 'chunk' && isCut ? 'lose' : undefined;
    }) satisfies ModelOptions['fault'],
  };
  return server;
}

describe('a connection that is open at one end only', () => {
  it('is left when chunks get no reply', async () => {
    const server = losingChunks();
    const { client, entries, retries } = await serverAndClient({ fault: server.fault }, { unresponsiveMs: 200 });
    const audio = speech(12, 6);
    await client.start();
    await speak(client, audio.pcm);
    await expect.poll(() => retries.map(({ error }) => error.code)).toEqual(['no_answer']);
    await expect(client.stop()).resolves.toMatchObject({ sessions: 1, gaps: 0 });
    expect(isClean(accountOf(audio, entries))).toBe(true);
  });

  it('is left when a chunk is asked for again and again and never taken', async () => {
    const server = losingChunks();
    const { client, entries, retries } = await serverAndClient({ fault: server.fault });
    const audio = speech(12, 6);
    await client.start();
    await speak(client, audio.pcm);
    await expect(client.stop()).resolves.toMatchObject({ sessions: 1, gaps: 0 });
    expect(retries.map(({ error }) => error.code)).toEqual(['internal']);
    expect(server.chunks).toBeLessThan(500);
    expect(isClean(accountOf(audio, entries))).toBe(true);
  });
});

describe('taken_over', () => {
  it('is final', async () => {
    const { client, model } = await serverAndClient();
    await client.start();
    const notice = next((listener) => client.once('taken_over', listener));
    model.takeOver();
    expect(await notice).toEqual({ epoch: 2 });
    await expect(client.stop()).rejects.toMatchObject({ code: 'taken_over' });
    expect(model.all('resume_transcription')).toEqual([]);
  });

  it('is ignored when its epoch is not above the one in use', async () => {
    const { client, model } = await serverAndClient();
    await client.start();
    model.emitToAll('taken_over', { epoch: 1 });
    client.send(silence(300));
    await expect(client.stop()).resolves.toMatchObject({ sessions: 1 });
  });

  it('is answered by a claim above it when no other device can hold the token', async () => {
    const { client, entries, model } = await serverAndClient({}, { exclusive: true });
    const audio = speech(5, 6);
    await client.start();
    await speak(client, audio.pcm, (chunk) => (chunk === 10 ? model.takeOver() : undefined));
    await client.stop();
    expect(model.all('resume_transcription')).toMatchObject([{ epoch: 2 }, { attempt: 1001 }]);
    expect(isClean(accountOf(audio, entries))).toBe(true);
  });
});

describe('what is not kept', () => {
  it('is named by an overflow, and by a gap of the server after the resume', async () => {
    const { client, entries, model } = await serverAndClient(
      {},
      { keep: { bytes: 32_000 }, backoff: { initialMs: 600, jitter: 0 } },
    );
    const audio = codedAudio({ utterances: 3, blocks: 40, silentBlocks: 5 });
    const dropped: unknown[] = [];
    client.on('overflow', (range) => dropped.push(range));
    await client.start();
    client.send(audio.pcm.subarray(0, 32_000));
    await expect.poll(() => model.position).toBe(16_000);
    model.cut();
    await expect.poll(() => client.state).toBe('resuming');
    client.send(audio.pcm.subarray(32_000));
    await client.stop();
    expect(dropped.length).toBeGreaterThan(0);
    const account = accountOf(audio, entries);
    expect(isClean(account)).toBe(true);
    expect(account.coveredByGap.length).toBeGreaterThan(10);
    expect(entries.filter((entry) => entry.kind === 'gap')).toMatchObject([
      { fromSample: 16_000, reason: 'client_overflow' },
    ]);
    expect(orderFaults(audio, entries)).toEqual([]);
  });

  it('is a gap of the client when the session is gone', async () => {
    const { client, entries, model } = await serverAndClient(
      {},
      { keep: { bytes: 32_000 }, backoff: { initialMs: 600, jitter: 0 } },
    );
    const audio = codedAudio({ utterances: 3, blocks: 40, silentBlocks: 5 });
    await client.start();
    client.send(audio.pcm.subarray(0, 32_000));
    await expect.poll(() => entries.length).toBe(1);
    model.forget();
    await expect.poll(() => client.state).toBe('resuming');
    client.send(audio.pcm.subarray(32_000));
    const summary = await client.stop();
    expect(entries.filter((entry) => entry.kind === 'gap')).toMatchObject([{ seq: 2, reason: 'not_kept' }]);
    expect(summary).toMatchObject({ gaps: 1, sessions: 2 });
    expect(isClean(accountOf(audio, entries))).toBe(true);
    expect(orderFaults(audio, entries)).toEqual([]);
  });

  it('does not keep a full ring from resuming while audio comes in', async () => {
    const { client, entries, model } = await serverAndClient({}, { keep: { bytes: 16_000 } });
    const audio = speech(6, 12);
    await client.start();
    for (let at = 0; at < audio.pcm.length; at += 3_200) {
      if (at % 64_000 === 32_000) model.cut();
      client.send(audio.pcm.subarray(at, at + 3_200));
      await delay(5);
    }
    await client.stop();
    expect(isClean(accountOf(audio, entries))).toBe(true);
    expect(orderFaults(audio, entries)).toEqual([]);
  });
});

describe('a store that is away', () => {
  it('makes finals provisional, which are shown once and free no audio', async () => {
    const { client, entries, model } = await serverAndClient({ limits: { unacked_ms: 2_000 } });
    const audio = codedAudio({ utterances: 6, blocks: 20, silentBlocks: 5 });
    await client.start();
    model.storeAway = true;
    client.send(audio.pcm);
    // Two seconds beyond the silence at the beginning, which has no entry to wait for.
    await expect.poll(() => model.position).toBe(1_600 + 32_000);
    await delay(50);
    expect(model.position).toBe(1_600 + 32_000);
    expect(entries[0]).toMatchObject({ durable: false });
    model.storeBack();
    await client.stop();
    expect(isClean(accountOf(audio, entries))).toBe(true);
  });

  it('is told by the client what it has lost', async () => {
    const { client, entries, model } = await serverAndClient();
    const audio = speech(7, 10);
    await client.start();
    await speak(client, audio.pcm, (chunk) => {
      if (chunk === 12) model.failOver(2, 0);
      if (chunk === 25) model.failOver(1, 1);
    });
    await client.stop();
    expect(isClean(accountOf(audio, entries))).toBe(true);
    expect(orderFaults(audio, entries)).toEqual([]);
  });
});

describe('refusals', () => {
  it('of a start that can be repeated are repeated, not before the time that they name', async () => {
    const refusal = { code: 'overloaded', retryable: true, retry_after_ms: 120 } as const;
    const { client, retries } = await serverAndClient({ start: (attempt) => (attempt < 3 ? refusal : undefined) });
    const begin = performance.now();
    await client.start();
    expect(performance.now() - begin).toBeGreaterThan(240);
    expect(retries.map(({ error }) => error.code)).toEqual(['overloaded', 'overloaded']);
  });

  it('of a start that cannot be repeated end it', async () => {
    const { client } = await serverAndClient({ start: () => ({ code: 'unsupported_language', message: 'No.' }) });
    const fault = next((listener) => client.once('error', listener));
    await expect(client.start()).rejects.toMatchObject({
      code: 'unsupported_language',
      retryable: false,
      message: 'No.',
    });
    expect(await fault).toMatchObject({ code: 'unsupported_language' });
  });

  it('of the token make the client ask for another', async () => {
    const tokens = ['old', 'new'];
    const authorize = (token: unknown) => (token === 'old' ? { code: 'unauthorized' as const } : undefined);
    const { client, retries } = await serverAndClient({ authorize }, { token: async () => tokens.shift() ?? '' });
    await client.start();
    expect(retries).toMatchObject([{ error: { code: 'unauthorized' } }]);
    expect(tokens).toEqual([]);
  });

  it('of a fixed token are final', async () => {
    const { client } = await serverAndClient({ authorize: () => ({ code: 'unauthorized' }) }, { token: 'key' });
    await expect(client.start()).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('of a place put the client into the queue, where it keeps its place over a resume and sends no audio', async () => {
    const { client, entries, model, states } = await serverAndClient({ start: () => 'queue' });
    const audio = speech(8, 3);
    const queued = next((listener) => client.once('queued', listener));
    void client.start();
    client.send(audio.pcm);
    expect(await queued).toEqual({ position: 1, etaMs: 100 });
    model.cut();
    await expect.poll(() => model.all('resume_transcription').length).toBe(1);
    await expect.poll(() => client.state).toBe('live');
    await client.stop();
    expect(states.map(({ state }) => state)).toEqual(['connecting', 'queued', 'connecting', 'live', 'stopped']);
    expect(model.violations).toEqual([]);
    expect(isClean(accountOf(audio, entries))).toBe(true);
  });
});

describe('pause', () => {
  it('follows the audio before it, drops what comes, and is repeated after a resume', async () => {
    const { client, entries, model } = await serverAndClient();
    const audio = codedAudio({ utterances: 2, blocks: 10, silentBlocks: 5 });
    await client.start();
    client.send(audio.pcm.subarray(0, 22 * 640));
    client.pause();
    client.send(silence(1_000));
    expect(client.state).toBe('paused');
    await expect.poll(() => model.all('pause_transcription').length).toBe(1);
    expect(model.position).toBe(22 * 320);
    model.cut();
    await expect.poll(() => model.all('pause_transcription').length).toBe(2);
    client.unpause();
    await expect.poll(() => model.all('unpause_transcription').length).toBe(1);
    client.send(audio.pcm.subarray(22 * 640));
    await client.stop();
    expect(isClean(accountOf(audio, entries))).toBe(true);
    expect(orderFaults(audio, entries)).toEqual([]);
  });
});

describe('a pause without a session', () => {
  it('connects to none until it ends', async () => {
    const { client, entries, model } = await serverAndClient();
    const audio = codedAudio({ utterances: 2, blocks: 20, silentBlocks: 5 });
    await client.start();
    client.send(audio.pcm.subarray(0, 30 * 640));
    client.pause();
    await expect.poll(() => model.all('pause_transcription').length).toBe(1);
    model.forget();
    await expect.poll(() => model.all('resume_transcription').length).toBe(1);
    await expect.poll(() => model.connections).toBe(0);
    expect(client.state).toBe('paused');
    expect(model.all('start_transcription')).toHaveLength(1);
    client.unpause();
    client.send(audio.pcm.subarray(30 * 640));
    await expect(client.stop()).resolves.toMatchObject({ sessions: 2, gaps: 0 });
    expect(isClean(accountOf(audio, entries))).toBe(true);
    expect(orderFaults(audio, entries)).toEqual([]);
  });
});

describe('retryNow', () => {
  it('does not wait for the next attempt', async () => {
    const { client, model } = await serverAndClient({}, { backoff: { initialMs: 60_000, maxMs: 60_000 } });
    await client.start();
    model.cut();
    await expect.poll(() => client.state).toBe('resuming');
    client.retryNow();
    await expect.poll(() => client.state).toBe('live');
  });
});

describe('a session that the server ends', () => {
  it('is followed by another when it failed or its server shuts down', async () => {
    for (const reason of ['error', 'draining']) {
      const { client, entries, model } = await serverAndClient();
      const audio = speech(11, 6);
      await client.start();
      await speak(client, audio.pcm, (chunk) => {
        if (chunk === 12) model.end(reason);
      });
      await expect(client.stop()).resolves.toMatchObject({ sessions: 2, reason: 'client_stop' });
      expect(isClean(accountOf(audio, entries))).toBe(true);
      expect(orderFaults(audio, entries)).toEqual([]);
    }
  });

  it('is the end when no other would be better', async () => {
    const { client, model } = await serverAndClient();
    await client.start();
    model.end('duration_exceeded');
    await expect.poll(() => client.state).toBe('stopped');
    await expect(client.stop()).resolves.toMatchObject({ reason: 'duration_exceeded' });
  });
});

describe('pace', () => {
  it('catches up no faster than the server allows', async () => {
    const { client, model } = await serverAndClient({ limits: { catch_up: 10 } });
    await client.start();
    model.cut();
    client.send(silence(5_000));
    const begin = performance.now();
    await client.stop();
    // One second goes at once, the other four ten times as fast as they were spoken.
    expect(performance.now() - begin).toBeGreaterThan(380);
  });
});

describe('a server without resume', () => {
  it('gets a new session with what has no final yet', async () => {
    const { client, entries, model } = await serverAndClient({ withoutResume: true });
    const audio = speech(9, 12);
    await client.start();
    await speak(client, audio.pcm, (chunk) => (chunk % 15 === 14 ? model.cut() : undefined));
    const summary = await client.stop();
    expect(model.all('resume_transcription')).toEqual([]);
    expect(summary.sessions).toBeGreaterThan(2);
    expect(isClean(accountOf(audio, entries))).toBe(true);
    expect(orderFaults(audio, entries)).toEqual([]);
  });
});

describe('the end', () => {
  it('comes when the client has tried for long enough', async () => {
    const { client, model } = await serverAndClient({}, { backoff: { ...QUICK, giveUpAfterMs: 100 } });
    await model.close();
    await expect(client.start()).rejects.toMatchObject({ code: 'unreachable', retryable: true });
  });

  it('comes at once with close', async () => {
    const { client, model } = await serverAndClient();
    await client.start();
    const reading = collected(client);
    client.close();
    client.close();
    expect(client.state).toBe('stopped');
    await expect(client.stop()).rejects.toMatchObject({ code: 'closed' });
    await expect(reading).rejects.toMatchObject({ code: 'closed' });
    await expect.poll(() => model.connections).toBe(0);
  });

  it('comes with a stop before the start', async () => {
    const { client } = await serverAndClient();
    await expect(client.stop()).rejects.toMatchObject({ code: 'closed' });
    await expect(client.start()).rejects.toMatchObject({ code: 'bad_usage' });
  });

  it('comes when the server speaks version 1 only', async () => {
    const http = createServer();
    const server = new Server(http);
    server.on('connection', (socket) => socket.emit('connected', { status: 'Connected...' }));
    await once(http.listen(0, '127.0.0.1'), 'listening');
    open.push(server);
    const { client } = recorded({ url: `http://127.0.0.1:${(http.address() as AddressInfo).port}` });
    await expect(client.start()).rejects.toMatchObject({ code: 'unsupported_server' });
  });
});
