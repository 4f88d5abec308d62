import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Balancer } from '../support/balancer.ts';
import { connect, emitWithAck, type TestClient, tone } from '../support/client.ts';
import { scripted, startGateway, type TestGateway } from '../support/gateway.ts';
import { killAll, ROOT, run } from '../support/process.ts';

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  killAll();
});

/** Two gateways behind a balancer; the first one is the only one that it knows until `turn`. */
async function twoGateways() {
  const [old, next] = await Promise.all([startGateway(scripted([])), startGateway(scripted([]))]);
  closers.push(
    () => old.close(),
    () => next.close(),
  );
  const balancer = await Balancer.start();
  closers.push(() => balancer.close());
  balancer.add(old);
  const turn = () => {
    balancer.remove(old);
    balancer.add(next);
  };
  return { balancer, old, next, turn };
}

function client(url: string, options: Parameters<typeof connect>[1] = {}): TestClient {
  const one = connect(url, { reconnection: true, reconnectionDelay: 100, reconnectionDelayMax: 500, ...options });
  closers.push(() => one.close());
  return one;
}

const connected = (gateway: TestGateway) => gateway.metric('transcribe_gateway_connections{protocol="1"}');

/** In CI everything is installed and nothing may be skipped. */
function hasPython(): boolean {
  try {
    execFileSync('/usr/bin/python3', ['-c', 'import socketio, websocket, requests'], { stdio: 'ignore' });
    return true;
  } catch {
    if (process.env.CI !== undefined) throw new Error('python-socketio must be installed in CI');
    return false;
  }
}

describe('an unchanged app whose gateway ends', () => {
  it.each([[['websocket']], [['polling']], [['polling', 'websocket']]])(
    'connects to another by itself, without a session, with socket.io-client over %j',
    async (transports) => {
      const { balancer, next, old, turn } = await twoGateways();
      const one = client(balancer.url, { transports });
      await one.next('connected');
      turn();
      await old.close();
      await one.next('connected');
      expect(await connected(next)).toBe(1);
      expect(await emitWithAck(one, 'start_transcription')).toBeUndefined();
      await one.next('transcription_started');
    },
  );

  it.each([[['websocket']], [['polling']]])(
    'has its last finals and its end before, with socket.io-client over %j',
    async (transports) => {
      const { balancer, old, turn } = await twoGateways();
      const one = client(balancer.url, { transports });
      await emitWithAck(one, 'start_transcription');
      await emitWithAck(one, 'audio_chunk', { chunk: tone(500) });
      turn();
      await old.close();
      await one.next('connected');
      await one.next('connected');
      expect(one.received.map(({ event }) => event)).toEqual([
        'connected',
        'transcription_started',
        'transcription_stopped',
        'connected',
      ]);
      await emitWithAck(one, 'start_transcription');
    },
  );

  it.skipIf(!hasPython()).each(['websocket', 'polling'])(
    'connects to another by itself, with python-socketio over %s',
    async (transport) => {
      const { balancer, next, old, turn } = await twoGateways();
      const app = run('/usr/bin/python3', [join(ROOT, 'test/clients/reconnects.py'), balancer.url, transport]);
      await app.saw(/connect\n/);
      turn();
      await old.close();
      await app.saw(/connect\ndisconnect\nconnect\n/);
      expect(await connected(next)).toBe(1);
    },
  );
});
