import { afterEach, describe, expect, it } from 'vitest';
import { connect, emitWithAck, type TestClient, tone } from '../support/client.ts';
import { scripted, startGateway } from '../support/gateway.ts';
import { killAll, run, serveGateway } from '../support/process.ts';
import { NO_REDIS, RedisServer } from '../support/redis.ts';
import { WORKERS } from '../support/workers.ts';

const clients: TestClient[] = [];

function client(url: string, options: Parameters<typeof connect>[1] = {}): TestClient {
  const one = connect(url, options);
  clients.push(one);
  return one;
}

afterEach(() => {
  for (const one of clients.splice(0)) one.close();
  killAll();
});

const TRANSPORTS = [['websocket'], ['polling']];

describe('a drain', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    'on %s gives running sessions their trailing finals and exits with 0',
    async (signal) => {
      const gateway = await serveGateway({ GATEWAY_ENGINE: 'scripted', GATEWAY_DRAIN_TIMEOUT_MS: '5000' });
      const all = TRANSPORTS.flatMap((transports) =>
        [1, 2].map((protocol) => client(gateway.url, { transports, auth: { protocol } })),
      );
      for (const one of all) {
        one.socket.emit('start_transcription');
        await one.next('transcription_started');
        // The first second is final; of the second one the final is still owed.
        one.socket.emit('audio_chunk', { chunk: tone(1000) });
        one.socket.emit('audio_chunk', { chunk: tone(500) });
        await one.next('transcription_result');
        await one.next('transcription_result');
        await one.next('transcription_result');
      }
      gateway.child.kill(signal);
      expect(await gateway.exited).toBe(0);
      for (const [index, one] of all.entries()) {
        const isVersion2 = index % 2 === 1;
        // With workers there is a Redis, and another gateway may go on with the session.
        if (isVersion2 && WORKERS > 1) {
          await one.next('server_draining');
          continue;
        }
        const { reason } = await one.next('transcription_stopped');
        expect(reason).toBe(isVersion2 ? 'draining' : undefined);
        const finals = one.all('transcription_result').filter((result) => result.is_partial === false);
        expect(finals.map((result) => result.text)).toEqual(['second 1', 'second 2']);
      }
    },
  );

  it.each([1, 2])('does not blame a client of protocol %d that goes on speaking', async (protocol) => {
    const engine = scripted([
      { do: 'final', atSample: 1600, text: 'hello' },
      { do: 'delay', atSample: 1700, ms: 300 },
    ]);
    const gateway = await startGateway(engine);
    const one = client(gateway.url, { auth: { protocol } });
    one.socket.emit('start_transcription');
    await one.next('transcription_started');
    await emitWithAck(one, 'audio_chunk', { chunk: tone(100) });
    one.socket.emit('audio_chunk', { chunk: tone(100) });
    const closed = gateway.close();
    await expect.poll(async () => (await fetch(`${gateway.adminUrl}/readyz`)).status).toBe(503);
    one.socket.emit('audio_chunk', { chunk: tone(100) });
    if (protocol === 2) one.socket.emit('stop_transcription', { last_chunk: 3 });
    await one.next('transcription_stopped');
    await closed;
    expect(one.all('error')).toEqual([]);
  });

  it('turns readiness off at once, with the reason, and refuses new sessions by name', async () => {
    const engine = scripted([{ do: 'delay', atSample: 1600, ms: 300 }]);
    const gateway = await startGateway(engine);
    const ready = async () => {
      const response = await fetch(`${gateway.adminUrl}/readyz`);
      return [response.status, await response.json()];
    };
    expect(await ready()).toEqual([200, { status: 'ready' }]);
    const busy = client(gateway.url, { auth: { protocol: 2 } });
    const idle = client(gateway.url, { auth: { protocol: 2 } });
    await emitWithAck(busy, 'start_transcription');
    await idle.next('connected');
    await emitWithAck(busy, 'audio_chunk', { chunk: tone(100) });

    const closed = gateway.close();
    await expect.poll(ready).toEqual([503, { status: 'draining' }]);
    expect((await fetch(`${gateway.adminUrl}/livez`)).status).toBe(200);
    await expect.poll(() => gateway.metric('transcribe_gateway_draining')).toBe(1);
    expect(await emitWithAck(idle, 'start_transcription')).toMatchObject({
      ok: false,
      error: { code: 'draining', retryable: true },
    });
    busy.socket.emit('stop_transcription');
    await busy.next('transcription_stopped');
    await closed;
    await expect(fetch(`${gateway.adminUrl}/livez`)).rejects.toThrow();
    await gateway.close();
  });

  it('exits with 0 at the deadline even if the engine hangs, and says what was lost', async () => {
    const engine = scripted([{ do: 'hang', atSample: 1 }]);
    const gateway = await startGateway(engine, { GATEWAY_DRAIN_TIMEOUT_MS: '1300' });
    // One of version 2 may go on elsewhere, where there is a Redis.
    const v1 = client(gateway.url);
    v1.socket.emit('start_transcription');
    await v1.next('transcription_started');
    await emitWithAck(v1, 'audio_chunk', { chunk: tone(100) });
    await gateway.close();
    expect((await v1.next('error')).message).toMatch(/Audio from 0 to 100 ms was lost/);
    await v1.next('transcription_stopped');
  });

  it.skipIf(NO_REDIS)('holds its sessions for a store that is away, and exits with 0 at the deadline', async () => {
    const redis = await RedisServer.start();
    const engine = scripted([{ do: 'final', atSample: 1600, text: 'word' }]);
    const gateway = await startGateway(engine, { GATEWAY_DRAIN_TIMEOUT_MS: '2000', REDIS_URL: redis.url });
    const v2 = client(gateway.url, { auth: { protocol: 2 } });
    await emitWithAck(v2, 'start_transcription');
    await redis.kill();
    v2.socket.emit('audio_chunk', { chunk: tone(100) });
    expect(await v2.next('transcription_result')).toMatchObject({ text: 'word', durable: false });
    const closed = gateway.close();
    expect(await v2.next('server_draining')).toMatchObject({ reconnect_within_ms: expect.any(Number) });
    await closed;
    await redis.stop();
  });

  it('does not wait for a client whose network is gone', async () => {
    const gateway = await startGateway(scripted([]));
    const gone = client(gateway.url, { transports: ['websocket'] });
    await gone.next('connected');
    (gone.socket.io.engine.transport as unknown as { ws: { pause(): void } }).ws.pause();
    const begin = performance.now();
    await gateway.close();
    // Half a minute is what a WebSocket waits for the other side by itself.
    expect(performance.now() - begin).toBeLessThan(15_000);
  });

  it('is cut short by a second signal', async () => {
    const lifecycle = new URL('../../src/lifecycle.ts', import.meta.url).href;
    const log = new URL('../../src/log.ts', import.meta.url).href;
    const hanging = run(process.execPath, [
      '--input-type=module',
      '-e',
      `const { closeOnSignals } = await import('${lifecycle}');
       const { createLogger } = await import('${log}');
       closeOnSignals(() => new Promise(() => setInterval(() => {}, 1000)), 60_000, createLogger('info'));
       console.log('listening');
       setInterval(() => {}, 1000);`,
    ]);
    await hanging.saw(/listening/);
    hanging.child.kill('SIGTERM');
    await hanging.saw(/signal received/);
    await expect
      .poll(
        () => {
          hanging.child.kill('SIGTERM');
          return hanging.child.exitCode;
        },
        { timeout: 5000 },
      )
      .toBe(143);
  });

  it('takes a Ctrl-C that npm passes on as one signal', async () => {
    const gateway = await serveGateway({ GATEWAY_ENGINE: 'scripted' });
    const v1 = client(gateway.url);
    v1.socket.emit('start_transcription');
    await v1.next('transcription_started');
    gateway.child.kill('SIGINT');
    gateway.child.kill('SIGINT');
    expect(await gateway.exited).toBe(0);
    await v1.next('transcription_stopped');
  });
});
