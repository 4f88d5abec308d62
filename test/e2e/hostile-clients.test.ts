import { afterEach, describe, expect, it } from 'vitest';
import { connect, emitWithAck } from '../support/client.ts';
import { scripted, startGateway, type TestGateway } from '../support/gateway.ts';
import { type RawClient, rawWebSocket } from '../support/raw-client.ts';

const STEPS = [{ do: 'final', atSample: 1600, text: 'hello' }] as const;

/** Each fault is named, in the error and in the acknowledgement, so that few of them fill what the network holds. */
const WRONG = { redaction: true, entity_types: new Array(19).fill('?') };

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function gatewayWith(engine = scripted(STEPS)): Promise<TestGateway> {
  const gateway = await startGateway(engine);
  closers.push(() => gateway.release());
  return gateway;
}

async function rawClient(gateway: TestGateway): Promise<RawClient> {
  const raw = await rawWebSocket(gateway.url);
  closers.push(raw.close);
  return raw;
}

/** Opens a socket on the client's transport, the nth since it was made. */
async function openSocket(raw: RawClient, nth: number, protocol = 2): Promise<void> {
  raw.send(`40{"protocol":${protocol}}`);
  await expect.poll(() => raw.received.filter((packet) => packet.includes('"connected"')).length).toBe(nth);
}

/** Closes it, and waits until the server has: it ends the transport of a client that connects again too early. */
async function closeSocket(raw: RawClient, gateway: TestGateway, protocol = 2): Promise<void> {
  raw.send('41');
  await expect.poll(() => gateway.metric(`transcribe_gateway_connections{protocol="${protocol}"}`)).toBe(0);
}

async function worksFor(gateway: TestGateway): Promise<void> {
  const other = connect(gateway.url, { auth: { protocol: 2 } });
  closers.push(other.close);
  expect(await emitWithAck(other, 'start_transcription')).toMatchObject({ ok: true });
}

describe('the gateway', () => {
  it.each(['{"protocol":{"toString":1}}', '{"protocol":[2]}', '{"token":{"a":null}}', '{"__proto__":{"x":1}}'])(
    'goes on for everybody when a handshake says %s',
    async (auth) => {
      const gateway = await gatewayWith();
      const raw = await rawClient(gateway);
      raw.send(`40${auth}`);
      await expect.poll(() => raw.received.length).toBeGreaterThanOrEqual(2);
      await worksFor(gateway);
    },
  );

  it('holds nothing of the sockets that a client opened and closed on one transport', async () => {
    const gateway = await gatewayWith();
    const raw = await rawClient(gateway);
    for (let n = 1; n <= 30; n++) {
      await openSocket(raw, n);
      await closeSocket(raw, gateway);
    }
    expect(gateway.warnings).toEqual([]);
  });

  it('says nothing on a transport about the session of a socket that is gone', async () => {
    const engine = scripted(STEPS);
    const gateway = await gatewayWith(engine);
    const raw = await rawClient(gateway);
    await openSocket(raw, 1, 1);
    raw.send('42["start_transcription",{}]');
    await expect.poll(() => raw.received.some((packet) => packet.includes('transcription_started'))).toBe(true);
    await closeSocket(raw, gateway, 1);
    expect(engine.openStreams).toBe(0);
    await openSocket(raw, 2, 1);
    expect(raw.received.filter((packet) => packet.includes('transcription_stopped'))).toEqual([]);
  });

  it('cuts a client that reads none of the errors and acknowledgements it causes', async () => {
    const gateway = await gatewayWith();
    const deaf = connect(gateway.url, { auth: { protocol: 2 }, transports: ['websocket'] });
    closers.push(deaf.close);
    await deaf.next('connected');
    const { ws } = deaf.socket.io.engine.transport as unknown as { ws: { pause(): void } };
    ws.pause();
    await expect
      .poll(
        () => {
          for (let n = 0; n < 500; n++) deaf.socket.emit('start_transcription', WRONG, () => undefined);
          return gateway.metric('transcribe_gateway_slow_connections_total');
        },
        { timeout: 30_000, interval: 20 },
      )
      .toBe(1);
    await expect.poll(() => gateway.metric('transcribe_gateway_connections{protocol="2"}')).toBe(0);
    await worksFor(gateway);
  });
});
