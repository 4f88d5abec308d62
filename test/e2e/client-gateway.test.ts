import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { startEmulator } from '../../src/emulator/emulator.ts';
import { repeatingScript, ScriptedEngine } from '../../src/engines/scripted/scripted-engine.ts';
import { tone } from '../support/client.ts';
import { freePort } from '../support/free-port.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { killAll, serveGateway, toEmulator } from '../support/process.ts';
import { formatAccount, isClean } from '../support/reconcile.ts';
import { accountOf, orderFaults, recorded, speak, speech } from '../unit/client/spoken.ts';

const open: { close(): unknown }[] = [];

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
  killAll();
});

async function gateway(environment: Readonly<Record<string, string>> = {}): Promise<TestGateway> {
  const started = await startGateway(new ScriptedEngine({ script: () => ({ steps: repeatingScript() }) }), environment);
  open.push({ close: () => started.release() });
  return started;
}

describe('the client library and the gateway', () => {
  it('transcribe from start to stop', async () => {
    const { url } = await gateway();
    const { client, entries } = recorded({ url, language: 'en-US' });
    open.push(client);
    const partials: string[] = [];
    client.on('partial', ({ text }) => partials.push(text));
    await client.start();
    client.send(tone(2_000));
    await expect.poll(() => entries.length).toBe(2);
    client.send(tone(1_250));
    const summary = await client.stop();
    expect(entries).toMatchObject([
      { kind: 'final', seq: 1, text: 'second 1', startMs: 0, endMs: 1_000, languageCode: 'en-US' },
      { kind: 'final', seq: 2, text: 'second 2', startMs: 1_000, endMs: 2_000 },
      { kind: 'final', seq: 3, text: 'second 3', startMs: 2_000, endMs: 3_000 },
      { kind: 'final', seq: 4, text: 'second 4', startMs: 3_000, endMs: 3_250 },
    ]);
    expect(entries[0]).toMatchObject({ items: [{ content: 'second', startMs: 0 }, { content: '1' }] });
    expect(partials).toContain('second 1');
    expect(summary).toMatchObject({ reason: 'client_stop', audioMs: 3_250, finals: 4, gaps: 0, sessions: 1 });
  });

  it('transcribe a file as fast as the gateway takes it', async () => {
    const { url } = await gateway();
    const { client, entries, retries } = recorded({ url });
    open.push(client);
    void client.start();
    const audio = tone(60_000);
    for (let at = 0; at < audio.length; at += 5_000) {
      await client.ready();
      client.send(audio.subarray(at, at + 5_000));
    }
    await client.stop();
    expect(entries.map((entry) => entry.kind === 'final' && entry.text)).toEqual(
      Array.from({ length: 60 }, (_, second) => `second ${second + 1}`),
    );
    expect(retries).toEqual([]);
  });

  it('give a refusal its code', async () => {
    const { url } = await gateway();
    const { client } = recorded({ url, language: 'xx-XX' });
    open.push(client);
    await expect(client.start()).rejects.toMatchObject({ name: 'TranscriptionError', code: 'unsupported_language' });
  });
});

/** A network that can be cut: what is on its way is lost. */
async function cuttable(target: number): Promise<{ url: string; cut(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one
        .on('error', () => undefined)
        .on('close', () => {
          sockets.delete(one);
          other.destroy();
        });
      one.pipe(other);
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  open.push({ close: () => [cut(), server.close()] });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, cut };
}

/** A gateway in a process of its own that can come back, before an engine that hears coded audio. */
async function hearingGateway() {
  const emulator = await startEmulator({
    recogniser: { kind: 'coded', latency: { partialMs: 50, finalMs: { min: 50, max: 300 } } },
    seed: 1,
  });
  open.push(emulator);
  const environment = {
    ...toEmulator(emulator.url),
    // So short that a session in its memory is ended while somebody speaks.
    GATEWAY_DRAIN_TIMEOUT_MS: '4000',
  };
  const port = await freePort();
  const serve = () => serveGateway({ ...environment, PORT: String(port) });
  return { served: await serve(), port, again: serve };
}

describe('the transcript is whole', () => {
  it('over a network that is cut again and again', async () => {
    const { port } = await hearingGateway();
    const network = await cuttable(port);
    const { client, entries, states } = recorded({ url: network.url });
    open.push(client);
    const audio = speech(21, 10);
    await client.start();
    await speak(client, audio.pcm, (chunk) => (chunk % 9 === 8 ? network.cut() : undefined), 98);
    const summary = await client.stop();
    const account = accountOf(audio, entries);
    expect(isClean(account), formatAccount(account)).toBe(true);
    expect(account.coveredByGap).toEqual([]);
    expect(orderFaults(audio, entries)).toEqual([]);
    expect(summary.sessions).toBe(1);
    expect(states.filter(({ state }) => state === 'resuming').length).toBeGreaterThan(2);
  });

  for (const [signal, how] of [
    ['SIGKILL', 'is killed, forgets all'],
    ['SIGTERM', 'drains, ends'],
  ] as const) {
    it(`over a gateway that ${how} and is started again`, async () => {
      const { again, served } = await hearingGateway();
      const { client, entries, retries } = recorded({ url: served.url });
      open.push(client);
      const audio = speech(22, 10);
      await client.start();
      await speak(
        client,
        audio.pcm,
        (chunk) => {
          if (chunk !== 25) return;
          served.child.kill(signal);
          void served.exited.then(() => again());
        },
        98,
      );
      const summary = await client.stop();
      const account = accountOf(audio, entries);
      expect(isClean(account), `${formatAccount(account)}\n${retries.map(({ error }) => error.code)}`).toBe(true);
      expect(account.coveredByGap).toEqual([]);
      expect(orderFaults(audio, entries)).toEqual([]);
      expect(summary).toMatchObject({ sessions: 2, gaps: 0 });
    });
  }
});
