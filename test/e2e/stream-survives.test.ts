import { afterEach, describe, expect, it } from 'vitest';
import { startEmulator } from '../../src/emulator/emulator.ts';
import { silence, tone } from '../support/client.ts';
import { type CodedAudio, codedAudio } from '../support/coded-audio.ts';
import { freePort } from '../support/free-port.ts';
import { Pods } from '../support/pods.ts';
import { cli, killAll, type Running, type ServedGateway, serveGateway, toEmulator } from '../support/process.ts';
import { ProtocolModel } from '../support/protocol-model.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';

const open: { close(): unknown }[] = [];

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
  killAll();
});

/** An engine that hears coded audio, whose words are the numbers of the blocks. */
async function hearing(): Promise<Readonly<Record<string, string>>> {
  const emulator = await startEmulator({
    recogniser: { kind: 'coded', latency: { partialMs: 50, finalMs: { min: 50, max: 300 } } },
    seed: 1,
  });
  open.push(emulator);
  return {
    ...toEmulator(emulator.url),
    // So short that a session in its memory is ended while somebody speaks.
    GATEWAY_DRAIN_TIMEOUT_MS: '4000',
  };
}

/** Some eight seconds. */
function speech(seed: number): CodedAudio {
  return codedAudio({ utterances: 14, blocks: { min: 10, max: 40 }, silentBlocks: { min: 3, max: 10 }, seed });
}

function streamSpeech(audio: CodedAudio, url: string, ...args: string[]): Running {
  return cli(['stream', '-', '--url', url, ...args], { input: audio.pcm });
}

/** Every word once and in order, and nothing else. */
async function expectWhole(stream: Running, audio: CodedAudio): Promise<void> {
  const status = await stream.exited;
  expect(stream.stdout().trim().split(/\s+/), stream.stderr()).toEqual(audio.blocks.map(({ number }) => `b${number}`));
  expect(status, stream.stderr()).toBe(0);
}

/** A final, and the beginning of a sentence after it. */
const IN_MID_SENTENCE = /b\d+\n[\s\S]*… b\d+/;

/** A gateway that can come back on the same port. */
async function serveAgain(env: Readonly<Record<string, string>>): Promise<ServedGateway> {
  return serveGateway({ ...env, PORT: String(await freePort()) });
}

async function restart(gateway: ServedGateway, signal: NodeJS.Signals, env: Readonly<Record<string, string>>) {
  gateway.child.kill(signal);
  await gateway.exited;
  return serveGateway({ ...env, PORT: new URL(gateway.url).port });
}

describe('stream prints the whole transcript', () => {
  it('when the gateway is killed and started again, with its memory gone', async () => {
    const env = await hearing();
    const gateway = await serveAgain(env);
    const audio = speech(1);
    const stream = streamSpeech(audio, gateway.url);
    await stream.saw(IN_MID_SENTENCE);
    await restart(gateway, 'SIGKILL', env);
    await expectWhole(stream, audio);
    expect(stream.stderr()).toMatch(/Connection lost, resuming.*\n[\s\S]*Resumed after [\d.]+ s, in a new session/);
    expect(stream.stderr().match(/Connection lost/g)).toHaveLength(1);
  });

  it('when the gateway drains and is started again', async () => {
    const env = await hearing();
    const gateway = await serveAgain(env);
    const audio = speech(2);
    const stream = streamSpeech(audio, gateway.url);
    await stream.saw(IN_MID_SENTENCE);
    await restart(gateway, 'SIGTERM', env);
    await expectWhole(stream, audio);
    expect(stream.stderr()).toMatch(/Resumed after [\d.]+ s/);
  });

  it('when the gateway is killed while the command sends as fast as it may', async () => {
    const env = { ...(await hearing()), GATEWAY_BACKLOG_MS: '2000' };
    const gateway = await serveAgain(env);
    const audio = codedAudio({ utterances: 30, blocks: { min: 10, max: 40 }, silentBlocks: 5, seed: 3 });
    const stream = streamSpeech(audio, gateway.url, '--fast');
    await stream.saw(/b\d+\n/);
    await restart(gateway, 'SIGKILL', env);
    await expectWhole(stream, audio);
    expect(stream.stderr()).toContain('Connection lost');
  });

  it('as JSON, with positions of the whole and each session that it took', async () => {
    const env = await hearing();
    const gateway = await serveAgain(env);
    const audio = speech(4);
    const stream = streamSpeech(audio, gateway.url, '--json');
    await stream.saw(/"is_partial":false[\s\S]*"is_partial":true/);
    await restart(gateway, 'SIGKILL', env);
    expect(await stream.exited, stream.stderr()).toBe(0);
    const events = eventsOf(stream);
    const finals = events.filter(({ is_partial }) => is_partial === false);
    expect(finals.map(({ text }) => text).join(' ')).toBe(audio.blocks.map(({ number }) => `b${number}`).join(' '));
    expect(finals.map(({ seq }) => seq)).toEqual(finals.map((_, index) => index + 1));
    const places = finals.flatMap(({ start_sample, end_sample }) => [start_sample, end_sample]) as number[];
    expect(places).toEqual([...places].sort((a, b) => a - b));
    const sessions = events.filter(({ event }) => event === 'transcription_started');
    expect(new Set(sessions.map(({ session_id }) => session_id)).size).toBe(2);
    expect(events.find(({ event }) => event === 'retry')).toMatchObject({ code: 'unreachable', retryable: true });
    expect(events.at(-1)).toMatchObject({
      event: 'transcription_stopped',
      reason: 'client_stop',
      last_seq: finals.length,
      audio_ms: Math.floor(audio.pcm.length / 32),
      sessions: 2,
    });
  });
});

describeWithRedis('stream with gateways that share a Redis', () => {
  it('prints the whole transcript when the owner is killed: another goes on with the session', async () => {
    const env = await hearing();
    const redis = await RedisServer.start();
    open.push({ close: () => redis.stop() });
    const pods = await Pods.start({ count: 2, redis, env });
    open.push(pods);
    const audio = speech(5);
    const stream = streamSpeech(audio, pods.url);
    await stream.saw(IN_MID_SENTENCE);
    const [owner = 0] = pods.busy;
    pods.kill(owner);
    await expectWhole(stream, audio);
    expect(stream.stderr()).toMatch(/Connection lost, resuming.*\n[\s\S]*Resumed after [\d.]+ s\.\n/);
  });
});

describe('stream ends', () => {
  it('with 3 when the gateway stays away for longer than --give-up-after', async () => {
    const gateway = await serveGateway({ GATEWAY_ENGINE: 'scripted' });
    const stream = cli(['stream', '--sample', '--url', gateway.url, '--give-up-after', '1']);
    await stream.saw(/^second 1$/m);
    gateway.child.kill('SIGKILL');
    expect(await stream.exited).toBe(3);
    expect(stream.stderr()).toMatch(/Connection lost, resuming[\s\S]*Gave up after 1 s/);
  });

  it('with 1 when the gateway keeps refusing, and says why', async () => {
    const model = await ProtocolModel.listen({
      start: () => ({ code: 'overloaded', message: 'Come later.', retryable: true }),
    });
    open.push(model);
    const stream = cli(['stream', '-', '--url', model.url, '--give-up-after', '1'], { input: tone(500) });
    expect(await stream.exited).toBe(1);
    expect(stream.stderr()).toMatch(/Waiting for the gateway. overloaded: Come later[\s\S]*Gave up after 1 s/);
    expect(model.all('start_transcription').length).toBeGreaterThan(1);
  });

  it('with 1 when a gap is reported, and says where it is', async () => {
    const model = await ProtocolModel.listen();
    open.push(model);
    const stream = cli(['stream', '-', '--url', model.url], { input: silence(1_000) });
    await stream.saw(/Transcribing, language en-US/);
    const range = { from_sample: 1_600, to_sample: 3_200, from_ms: 100, to_ms: 200 };
    model.emitToAll('transcription_gap', { ...range, seq: 1, epoch: 1, reason: 'engine_lost' });
    expect(await stream.exited, stream.stderr()).toBe(1);
    expect(stream.stderr()).toContain('Audio from 100 to 200 ms was lost: engine_lost.');
  });

  it('with 130 when it is interrupted while the gateway is away', async () => {
    const gateway = await serveGateway({ GATEWAY_ENGINE: 'scripted' });
    const stream = cli(['stream', '--sample', '--url', gateway.url]);
    await stream.saw(/^second 1$/m);
    gateway.child.kill('SIGKILL');
    await stream.saw(/Connection lost/);
    stream.child.kill('SIGINT');
    await stream.saw(/waiting for the last finals/i);
    stream.child.kill('SIGINT');
    expect(await stream.exited).toBe(130);
  });
});

function eventsOf(stream: Running): Record<string, unknown>[] {
  return stream
    .stdout()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
