import { EventEmitter } from 'node:events';
import type { Server } from 'node:http';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TcpConnections } from '../../../src/socket/tcp-connections.ts';

const MAX_BYTES = 1_000;
const LOOK_MS = 500;

class FakeSocket extends EventEmitter {
  writableLength = 0;
  destroyed = false;

  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

function setup() {
  const server = new EventEmitter();
  const cut = vi.fn();
  const connections = new TcpConnections(server as Server, cut, MAX_BYTES);
  const accept = (event: 'connection' | 'secureConnection' = 'connection') => {
    const socket = new FakeSocket();
    server.emit(event, socket);
    return socket;
  };
  return { accept, connections, cut };
}

describe('the TCP connections of a server', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it.each(['connection', 'secureConnection'] as const)('are cut where too much waits for the client: %s', (event) => {
    const { accept, cut } = setup();
    const [deaf, other] = [accept(event), accept(event)];
    deaf.writableLength = MAX_BYTES + 1;
    other.writableLength = MAX_BYTES;
    vi.advanceTimersByTime(2 * LOOK_MS);
    expect([deaf.destroyed, other.destroyed]).toEqual([true, false]);
    expect(cut).toHaveBeenCalledTimes(1);
  });

  it('are left alone where much waits for a moment', () => {
    const { accept, cut } = setup();
    const socket = accept();
    for (let n = 0; n < 5; n++) {
      socket.writableLength = 10 * MAX_BYTES;
      vi.advanceTimersByTime(LOOK_MS);
      socket.writableLength = 0;
      vi.advanceTimersByTime(LOOK_MS);
    }
    expect(cut).not.toHaveBeenCalled();
  });

  it('are all ended at the end, and not looked at any more', () => {
    const { accept, connections } = setup();
    const [one, gone] = [accept(), accept()];
    gone.destroy();
    connections.destroyAll();
    expect(one.destroyed).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });
});
