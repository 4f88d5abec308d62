import { EventEmitter } from 'node:events';
import type { Socket } from 'socket.io';
import { describe, expect, it } from 'vitest';
import { farewell } from '../../../src/socket/farewell.ts';

/** A client that polls, as Engine.IO has it. */
class Polling extends EventEmitter {
  readyState = 'open';
  upgrading = false;
  readonly sent: string[] = [];
  readonly transport = Object.assign(new EventEmitter(), {
    name: 'polling',
    writable: true,
    send: (packets: { type: string }[]) => this.sent.push(...packets.map(({ type }) => type)),
  });

  close(): void {
    if (this.readyState === 'closed') return;
    this.readyState = 'closed';
    this.emit('close');
  }

  /** Its library goes on by WebSocket. */
  upgrade(): void {
    this.upgrading = false;
    this.transport.name = 'websocket';
    this.emit('upgrade');
  }

  get conn(): Socket['conn'] {
    return this as unknown as Socket['conn'];
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('a farewell', () => {
  it('answers a poll with nothing and closes, so that the next one finds the session unknown', async () => {
    const client = new Polling();
    await farewell(client.conn, 1_000);
    expect([client.sent, client.readyState]).toEqual([['noop'], 'closed']);
  });

  it('waits for a client in the midst of its change to a WebSocket, which polls no more and would notice nothing', async () => {
    const client = new Polling();
    client.upgrading = true;
    const said = farewell(client.conn, 10_000);
    await turn();
    expect([client.sent, client.readyState]).toEqual([[], 'open']);
    client.upgrade();
    await said;
    expect([client.sent, client.readyState]).toEqual([[], 'closed']);
  });

  it('does so no longer than it may take', async () => {
    const client = new Polling();
    client.upgrading = true;
    await farewell(client.conn, 20);
    expect(client.readyState).toBe('closed');
  });
});
