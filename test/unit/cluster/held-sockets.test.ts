import type { Worker } from 'node:cluster';
import { EventEmitter } from 'node:events';
import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { HeldSockets } from '../../../src/cluster/held-sockets.ts';

let ids = 0;

/** A worker whose channel writes when the test says so. */
function fakeWorker() {
  const written: ((error: Error | null) => void)[] = [];
  const worker = {
    id: ++ids,
    send: (_message: unknown, ...rest: unknown[]) => {
      written.push(rest.at(-1) as (error: Error | null) => void);
      return true;
    },
  };
  return { worker: worker as unknown as Worker, written };
}

let port = 1000;

class FakeSocket extends EventEmitter {
  readonly remoteAddress = '127.0.0.1';
  readonly remotePort = ++port;
  readonly localPort = 5001;
  destroyed = false;
  bytesRead = 0;
  readonly _handle = {
    closed: 0,
    isReading: true,
    close: () => void this._handle.closed++,
    readStop: () => {
      this._handle.isReading = false;
    },
  };

  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

function setup() {
  const server = createServer();
  // Only ours: Node's own would want a real socket.
  server.removeAllListeners('connection');
  const held = new HeldSockets();
  held.watch(server);
  const { worker, written } = fakeWorker();
  held.follow(worker);
  const accept = () => {
    const socket = new FakeSocket();
    server.emit('connection', socket);
    return socket;
  };
  const hand = (socket: FakeSocket) =>
    worker.send({ type: 'sticky:connection' }, socket as unknown as Socket, () => undefined);
  const handBody = ({ remoteAddress, remotePort, localPort }: FakeSocket, connectionId = 'c1') =>
    worker.send({
      type: 'sticky:http-chunk-start',
      connectionId,
      socketInfo: { remoteAddress, remotePort, localPort },
    });
  const handMore = (connectionId = 'c1') => worker.send({ type: 'sticky:http-chunk', connectionId });
  return { held, worker, written, accept, hand, handBody, handMore };
}

describe('sockets that the primary holds for a worker', () => {
  it('are ended with it while they wait for the channel', () => {
    const { accept, hand, held, worker } = setup();
    const socket = accept();
    hand(socket);
    held.release(worker);
    expect(socket.destroyed).toBe(true);
    expect(held.size).toBe(0);
  });

  it('are ended with it while a request with a body passes through', () => {
    const { accept, handBody, held, worker } = setup();
    const socket = accept();
    handBody(socket);
    held.release(worker);
    expect(socket.destroyed).toBe(true);
  });

  it('are ended when they bring more than any request has, and nothing more of them is passed on', () => {
    const { accept, handBody, handMore, written } = setup();
    const [endless, other] = [accept(), accept()];
    handBody(endless, 'endless');
    handBody(other, 'other');
    endless.bytesRead = 2_000_000;
    handMore('endless');
    expect(endless.destroyed).toBe(false);
    endless.bytesRead += 1;
    const before = written.length;
    handMore('endless');
    expect(endless.destroyed).toBe(true);
    expect(written.length).toBe(before);
    handMore('other');
    expect(other.destroyed).toBe(false);
    expect(written.length).toBe(before + 1);
  });

  it('are not read any more once they are given away, or what comes then would be lost to the worker', () => {
    const { accept, hand } = setup();
    const [given, other] = [accept(), accept()];
    hand(given);
    expect(given._handle.isReading).toBe(false);
    expect(other._handle.isReading).toBe(true);
  });

  it('are forgotten once they are handed over, because those never say that they closed', () => {
    const { accept, hand, held, worker, written } = setup();
    const socket = accept();
    hand(socket);
    written[0]?.(null);
    expect(held.size).toBe(0);
    held.release(worker);
    expect(socket.destroyed).toBe(false);
  });

  it('are closed with it while one is handed over that the worker has not taken', () => {
    const { accept, hand, held, worker, written } = setup();
    const [first, second] = [accept(), accept()];
    hand(first);
    written[0]?.(null);
    hand(second);
    written[1]?.(null);
    held.release(worker);
    // The first was taken, or the second would not have been sent; closing it once more would do nothing either.
    expect(first._handle.closed).toBe(0);
    expect(second._handle.closed).toBe(1);
  });

  it('are forgotten when they close by themselves, and leave those of other workers alone', () => {
    const { accept, hand, held } = setup();
    const [one, other] = [accept(), accept()];
    hand(one);
    one.destroy();
    expect(held.size).toBe(1);
    held.release(fakeWorker().worker);
    expect(other.destroyed).toBe(false);
  });
});
