import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type Emulator, startEmulator } from '../../src/emulator/emulator.ts';
import { connect, emitWithAck, silence, type TestClient } from '../support/client.ts';
import { audioChunks, codedAudio } from '../support/coded-audio.ts';
import { cli, killAll, ROOT, type ServedGateway, serveGateway, toEmulator } from '../support/process.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';
import { recorded } from '../unit/client/spoken.ts';

/** A quota of one stream: whoever has it lets all others wait. */
const QUOTA = { GATEWAY_AWS_STREAMS: '1', GATEWAY_QUEUE_TIMEOUT_MS: '60000', GATEWAY_LEASE_MS: '3000' };
const FLUSH_MS = 1_500;
const SPEECH = codedAudio({ utterances: 2, blocks: 20, silentBlocks: 10 });
const WORDS = SPEECH.utterances.map((blocks) => blocks.map((block) => `b${block}`).join(' '));

interface Begun {
  readonly session_id: string;
  readonly resume_token: string;
}

let keys = 0;

describeWithRedis('a session that has to wait for a stream of the quota', () => {
  let redis: RedisServer;
  let emulator: Emulator;
  let gateway: ServedGateway;
  let other: ServedGateway;
  const clients: TestClient[] = [];

  const serve = (env: Readonly<Record<string, string>> = {}) =>
    serveGateway({
      ...toEmulator(emulator.url),
      ...QUOTA,
      REDIS_URL: redis.url,
      GATEWAY_FLUSH_TIMEOUT_MS: String(FLUSH_MS),
      ...env,
    });
  const client = ({ url }: ServedGateway, protocol = 2): TestClient => {
    const one = connect(url, { transports: ['websocket'], auth: { protocol } });
    clients.push(one);
    return one;
  };
  /** Takes the stream, until the test is over or the client is closed. */
  const hold = async (at = gateway): Promise<TestClient> => {
    const one = client(at, 1);
    one.socket.emit('start_transcription', {});
    await one.next('transcription_started');
    return one;
  };
  const ask = (one: TestClient): void => {
    const start_key = `queue-key-${String(++keys).padStart(16, '0')}`;
    one.socket.emit('start_transcription', { acks: true, start_key, attempt: 1 });
  };
  /** Begins a session that has to wait. */
  const wait = async (one: TestClient): Promise<Begun> => {
    ask(one);
    return (await one.next('transcription_queued')) as unknown as Begun;
  };
  /** The same for one of version 1, which hears nothing of it. */
  const waitSilently = async (one: TestClient): Promise<void> => {
    one.socket.emit('start_transcription', {});
    const metrics = async () => (await fetch(`${gateway.adminUrl}/metrics`)).text();
    await expect.poll(metrics, { timeout: 10_000 }).toContain('transcribe_gateway_queue_sessions 1');
  };
  const resume = async (one: TestClient, { resume_token, session_id }: Begun, attempt = 2) => {
    const nothing = { last_seq: 0, last_end: 0, acked: 0, oldest_chunk: 1, oldest_offset: 0 };
    one.socket.emit('resume_transcription', { ...nothing, session_id, resume_token, attempt, epoch: attempt - 1 });
    return one.next('transcription_resumed');
  };
  const send = (one: TestClient, pcm = SPEECH.pcm): void => {
    let offset = 0;
    for (const [index, chunk] of [...audioChunks(pcm)].entries()) {
      one.socket.emit('audio_chunk', { chunk, seq: index + 1, offset });
      offset += chunk.length / 2;
    }
  };
  const finals = (one: TestClient) =>
    one.all('transcription_result').flatMap(({ is_partial, text }) => (is_partial === false ? [text] : []));

  beforeAll(async () => {
    redis = await RedisServer.start();
    emulator = await startEmulator({
      recogniser: { kind: 'coded', latency: { partialMs: 20, finalMs: { min: 20, max: 50 } } },
      limits: { concurrentStreams: 1, startsPerSecond: 25 },
    });
    [gateway, other] = await Promise.all([serve(), serve()]);
  });
  afterEach(async () => {
    // What a client leaves behind would have the stream in the next test.
    const left = clients.splice(0);
    for (const one of left) one.socket.emit('stop_transcription', {});
    await expect.poll(() => emulator.usage().activeStreams, { timeout: 20_000 }).toBe(0);
    for (const one of left) one.close();
    expect(emulator.usage().refusals).toEqual({});
  });
  afterAll(async () => {
    killAll();
    await emulator.close();
    await redis.stop();
  });

  it('is told its place, hears when that changes, and is started in its turn', async () => {
    const holder = await hold();
    const [first, second] = [client(gateway), client(other)];
    const begun = await wait(first);
    expect(begun).toMatchObject({ position: 1, epoch: 1, session_id: expect.any(String) });
    ask(second);
    expect(await second.next('transcription_queued')).toMatchObject({ position: 2 });
    holder.close();
    const { resume_token, session_id } = begun;
    expect(await first.next('transcription_started')).toMatchObject({ epoch: 1, resume_token, session_id });
    expect(await second.next('transcription_queued')).toMatchObject({ position: 1, eta_ms: expect.any(Number) });
    first.socket.emit('stop_transcription', {});
    await second.next('transcription_started');
  });

  it('has its start acknowledged when it is started', async () => {
    const holder = await hold();
    const one = client(gateway);
    const reply = emitWithAck(one, 'start_transcription', { acks: true });
    const { session_id } = await one.next('transcription_queued');
    holder.close();
    expect(await reply).toEqual({ ok: true, session_id });
    expect(one.received.map(({ event }) => event)).toEqual([
      'connected',
      'transcription_queued',
      'transcription_started',
    ]);
  });

  it('of version 1 hears nothing until it is started, and loses none of its words', async () => {
    const holder = await hold();
    const one = client(gateway, 1);
    await waitSilently(one);
    send(one);
    const behind = client(gateway);
    ask(behind);
    expect(await behind.next('transcription_queued')).toMatchObject({ position: 2 });
    expect(one.received.map(({ event }) => event)).toEqual(['connected']);
    holder.close();
    await one.next('transcription_started');
    one.socket.emit('stop_transcription');
    await one.next('transcription_stopped');
    expect(finals(one)).toEqual(WORDS);
  });

  it('gives its place up when a client leaves that cannot resume', async () => {
    await hold();
    const leaving = client(gateway, 1);
    await waitSilently(leaving);
    const behind = client(gateway);
    ask(behind);
    expect(await behind.next('transcription_queued')).toMatchObject({ position: 2 });
    leaving.close();
    expect(await behind.next('transcription_queued')).toMatchObject({ position: 1 });
  });

  it.each([
    ['the same gateway', () => gateway],
    ['another gateway', () => other],
  ])('keeps its place over a resume on %s, and is told it again', async (_, there) => {
    const holder = await hold();
    const one = client(gateway);
    const begun = await wait(one);
    const behind = client(other);
    ask(behind);
    expect(await behind.next('transcription_queued')).toMatchObject({ position: 2 });
    one.close();
    const back = client(there());
    expect(await resume(back, begun)).toMatchObject({ next_chunk: 1, next_offset: 0, missed: 0 });
    expect(await back.next('transcription_queued')).toMatchObject({
      resume_token: begun.resume_token,
      session_id: begun.session_id,
      position: 1,
      epoch: 2,
    });
    holder.close();
    await back.next('transcription_started');
    send(back);
    back.socket.emit('stop_transcription', {});
    await back.next('transcription_stopped');
    expect(finals(back)).toEqual(WORDS);
    expect(behind.all('transcription_started')).toHaveLength(0);
    await behind.next('transcription_started');
  });

  it('keeps its place when its gateway is killed and it resumes on another', async () => {
    const doomed = await serve();
    const holder = await hold();
    const one = client(doomed);
    const begun = await wait(one);
    const behind = client(other);
    ask(behind);
    expect(await behind.next('transcription_queued')).toMatchObject({ position: 2 });
    doomed.child.kill('SIGKILL');
    await doomed.exited;
    const back = client(other);
    await resume(back, begun);
    expect(await back.next('transcription_queued')).toMatchObject({ position: 1 });
    holder.close();
    await back.next('transcription_started');
    expect(behind.all('transcription_started')).toHaveLength(0);
  });

  it('keeps its place when its gateway drains and it resumes on another', async () => {
    const draining = await serve();
    const holder = await hold();
    const one = client(draining);
    const begun = await wait(one);
    const behind = client(other);
    ask(behind);
    expect(await behind.next('transcription_queued')).toMatchObject({ position: 2 });
    draining.child.kill('SIGTERM');
    await one.next('server_draining');
    one.close();
    const back = client(other);
    await resume(back, begun);
    expect(await back.next('transcription_queued')).toMatchObject({ position: 1 });
    expect(await draining.exited).toBe(0);
    holder.close();
    await back.next('transcription_started');
    expect(behind.all('transcription_started')).toHaveLength(0);
  });

  it('is before new ones when it goes on after a pause', async () => {
    const paused = client(gateway);
    ask(paused);
    await paused.next('transcription_started');
    expect(await emitWithAck(paused, 'pause_transcription')).toMatchObject({ ok: true });
    const holder = await hold();
    const behind = client(other);
    await wait(behind);
    send(paused);
    expect(await paused.next('transcription_queued')).toMatchObject({ position: 1 });
    holder.close();
    await paused.next('transcription_started');
    paused.socket.emit('stop_transcription', {});
    await paused.next('transcription_stopped');
    expect(finals(paused)).toEqual(WORDS);
    await behind.next('transcription_started');
  });

  it('ends at once when it is stopped before anything was said', async () => {
    await hold();
    for (const protocol of [1, 2]) {
      const one = client(gateway, protocol);
      if (protocol === 2) await wait(one);
      else one.socket.emit('start_transcription', {});
      one.socket.emit('audio_chunk', { chunk: silence(100), seq: 1, offset: 0 });
      one.socket.emit('stop_transcription');
      await one.next('transcription_stopped', FLUSH_MS);
      expect(one.all('error')).toEqual([]);
    }
  });

  it('says its words yet when it is stopped and the line moves in time', async () => {
    const holder = await hold();
    const one = client(gateway);
    await wait(one);
    send(one);
    one.socket.emit('stop_transcription');
    holder.close();
    expect(await one.next('transcription_stopped')).toMatchObject({ reason: 'client_stop', finals: 2 });
    expect(finals(one)).toEqual(WORDS);
  });

  it('is told what was lost when it is stopped and the line does not move', async () => {
    await hold();
    const [v1, v2] = [client(gateway, 1), client(gateway)];
    v1.socket.emit('start_transcription', {});
    await wait(v2);
    for (const one of [v1, v2]) {
      send(one);
      one.socket.emit('stop_transcription');
    }
    const stopped = await v2.next('transcription_stopped');
    expect(stopped).toMatchObject({ reason: 'client_stop', finals: 0, last_seq: 1 });
    const lost = { from_sample: 0, to_sample: SPEECH.pcm.length / 2, reason: 'engine_failed', seq: 1 };
    expect(v2.all('transcription_gap')).toMatchObject([lost]);
    await v1.next('transcription_stopped');
    expect(v1.all('error')).toEqual([{ message: expect.stringMatching(/^Audio from 0 to \d+ ms was lost/) }]);
  });

  it('is served by the client library with all that was said meanwhile', async () => {
    const holder = await hold();
    const { client: library, entries, states } = recorded({ url: gateway.url });
    const received = async () =>
      /^transcribe_gateway_audio_seconds_total (.*)$/m.exec(
        await (await fetch(`${gateway.adminUrl}/metrics`)).text(),
      )?.[1];
    const before = await received();
    const started = library.start();
    library.send(SPEECH.pcm);
    await new Promise((resolve) => library.once('queued', resolve));
    expect(await received()).toBe(before);
    holder.close();
    await started;
    expect(await library.stop()).toMatchObject({ finals: 2, gaps: 0, sessions: 1 });
    expect(entries.map((entry) => entry.kind === 'final' && entry.text)).toEqual(WORDS);
    expect(states.map(({ state }) => state)).toEqual(['connecting', 'queued', 'live', 'stopped']);
  });

  it('is served by the client library when it goes on after a pause and has to wait', async () => {
    const { client: library, entries } = recorded({ url: gateway.url });
    await library.start();
    library.send(SPEECH.pcm.subarray(0, SPEECH.pcm.length / 2));
    await expect.poll(() => entries.length).toBe(1);
    library.pause();
    await expect.poll(() => emulator.usage().activeStreams).toBe(0);
    const holder = await hold();
    library.unpause();
    library.send(SPEECH.pcm.subarray(SPEECH.pcm.length / 2));
    await new Promise((resolve) => library.once('queued', resolve));
    holder.close();
    expect(await library.stop()).toMatchObject({ finals: 2, gaps: 0, sessions: 1 });
    expect(entries.map((entry) => entry.kind === 'final' && entry.text)).toEqual(WORDS);
  });

  it('is ended by the client library at once when it is stopped before anything was said', async () => {
    await hold();
    const { client: library } = recorded({ url: gateway.url });
    void library.start().catch(() => undefined);
    await new Promise((resolve) => library.once('queued', resolve));
    expect(await library.stop()).toMatchObject({ finals: 0, gaps: 0, audioMs: 0 });
  });

  it('is shown by the command line, which sends what it has when it is started', async () => {
    const holder = await hold();
    const audio = `${ROOT}test/fixtures/numbers.raw`;
    const stream = cli(['stream', audio, '--json', '--fast', '--url', gateway.url]);
    const [, line = ''] = await stream.saw(/^(\{"event":"transcription_queued".*)$/m);
    expect(JSON.parse(line)).toMatchObject({ position: 1 });
    holder.close();
    await stream.exited;
    expect(stream.stdout()).toMatch(/"event":"transcription_started"/);
    expect(stream.stdout()).toMatch(/"event":"transcription_stopped".*"gaps":0/);
  });

  it('is refused when it has waited for too long, and at once where the line is full', async () => {
    const impatient = await serve({ GATEWAY_QUEUE_TIMEOUT_MS: '1500', GATEWAY_QUEUE_LENGTH: '1' });
    await hold();
    const [first, second, v1] = [client(impatient), client(impatient), client(impatient, 1)];
    await wait(first);
    ask(second);
    expect(await second.next('error')).toMatchObject({
      code: 'quota_exhausted',
      retryable: true,
      retry_after_ms: expect.any(Number),
      message: expect.stringMatching(/in use; try again later/),
    });
    v1.socket.emit('start_transcription', {});
    expect(await v1.next('error')).toEqual({ message: expect.stringMatching(/in use; try again later/) });
    expect(await first.next('error')).toMatchObject({
      code: 'quota_exhausted',
      message: expect.stringMatching(/became free in time/),
    });
    expect(first.all('transcription_started')).toEqual([]);
    const metrics = await (await fetch(`${impatient.adminUrl}/metrics`)).text();
    expect(metrics).toContain('transcribe_gateway_limit_refusals_total{limit="queue_length"} 2');
    expect(metrics).toContain('transcribe_gateway_limit_refusals_total{limit="queue_timeout"} 1');
  });
});
