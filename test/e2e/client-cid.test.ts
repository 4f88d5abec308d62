import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server, type Socket } from 'socket.io';
import { afterEach, describe, expect, it } from 'vitest';
import type { TranscriptionOptions } from '../../src/client/index.ts';
import { recorded } from '../unit/client/spoken.ts';

const open: { close(): unknown }[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

interface Doorway {
  readonly url: string;
  /** The queries of all handshakes so far, the refused ones too. */
  readonly queries: URLSearchParams[];
  /** The `cid` of each. */
  cids(): (string | null)[];
  /** Lets a connection in or not. */
  admit: (connection: number) => boolean;
  /** Called with each connection once it has a session. */
  live: (socket: Socket) => void;
}

/** A server that starts or resumes whatever it is asked to, and notes with which key its clients come. */
async function doorway(answer: (connection: number) => object | undefined = () => undefined): Promise<Doorway> {
  const http = createServer();
  const queries: URLSearchParams[] = [];
  const door: Doorway = {
    url: '',
    queries,
    cids: () => queries.map((query) => query.get('cid')),
    admit: () => true,
    live: () => undefined,
  };
  const io = new Server(http, {
    allowRequest: ({ url = '' }, decide) => {
      queries.push(new URL(url, 'http://door').searchParams);
      decide(null, door.admit(queries.length));
    },
  });
  io.on('connection', (socket) => {
    const error = answer(queries.length);
    const session = { session_id: 's', resume_token: 't', epoch: queries.length, language_code: 'en-US' };
    const reply = (event: string, more: object = {}) => {
      if (error !== undefined) return socket.emit('error', error);
      socket.emit(event, { ...session, ...more });
      return door.live(socket);
    };
    socket.on('start_transcription', () => reply('transcription_started'));
    socket.on('resume_transcription', () =>
      reply('transcription_resumed', { next_chunk: 1, next_offset: 0, missed: 0 }),
    );
    socket.emit('connected', { status: 'Connected', protocol: 2, limits: {} });
  });
  await once(http.listen(0, '127.0.0.1'), 'listening');
  open.push({ close: () => io.close() });
  return Object.assign(door, { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}` });
}

async function started(door: Doorway, options: Partial<TranscriptionOptions> = {}): Promise<void> {
  const { client } = recorded({ url: door.url, ...options });
  open.unshift(client);
  await client.start();
}

const DIFFERENT = (cids: (string | null)[]) => new Set(cids).size;

describe('the key that a client gives to load balancers', () => {
  it('is another for each transcription', async () => {
    const door = await doorway();
    await Promise.all([started(door), started(door), started(door)]);
    for (const cid of door.cids()) expect(cid).toMatch(/^[0-9a-z]{8,}$/);
    expect(DIFFERENT(door.cids())).toBe(3);
  });

  it('stays when a live connection is lost, because the session lingers where it was', async () => {
    const door = await doorway();
    door.live = (socket) => {
      if (door.queries.length < 3) socket.conn.close(true);
    };
    await started(door);
    await expect.poll(() => door.queries.length).toBe(3);
    expect(DIFFERENT(door.cids())).toBe(1);
  });

  it('changes when the gateway drains', async () => {
    const door = await doorway();
    door.live = (socket) => {
      if (door.queries.length === 1) socket.emit('server_draining', { reconnect_within_ms: 10 });
    };
    await started(door);
    await expect.poll(() => door.queries.length).toBe(2);
    expect(DIFFERENT(door.cids())).toBe(2);
  });

  it('changes when the gateway ends the session because it drains', async () => {
    const door = await doorway();
    door.live = (socket) => {
      if (door.queries.length === 1) socket.emit('transcription_stopped', { session_id: 's', reason: 'draining' });
    };
    await started(door);
    await expect.poll(() => door.queries.length).toBe(2);
    expect(DIFFERENT(door.cids())).toBe(2);
  });

  it.each(['draining', 'engine_unavailable', 'overloaded', 'store_unavailable'])(
    'changes when a start is refused with %s',
    async (code) => {
      const door = await doorway((connection) =>
        connection < 3 ? { code, message: code, retryable: true } : undefined,
      );
      await started(door);
      expect(door.queries).toHaveLength(3);
      expect(DIFFERENT(door.cids())).toBe(3);
    },
  );

  it('changes when the gateway cannot be reached', async () => {
    const door = await doorway();
    door.admit = (connection) => connection > 2;
    await started(door);
    expect(door.queries).toHaveLength(3);
    expect(DIFFERENT(door.cids())).toBe(3);
  });

  it('changes when the gateway is silent although it owes an answer', async () => {
    const door = await doorway();
    const { client } = recorded({ url: door.url, unresponsiveMs: 200 });
    open.unshift(client);
    await client.start();
    client.send(new Int16Array(16_000));
    await expect.poll(() => door.queries.length, { timeout: 5_000 }).toBe(2);
    expect(DIFFERENT(door.cids())).toBe(2);
  });

  it('comes with the query that the application gives', async () => {
    const door = await doorway();
    await started(door, { socket: { query: { tenant: 'a' } } });
    await started({ ...door, url: `${door.url}/?region=b` });
    await started(door, { socket: { query: { cid: 'mine' } } });
    const seen = door.queries.map((query) => [query.get('tenant'), query.get('region'), query.get('cid')]);
    expect(seen).toEqual([
      ['a', null, expect.stringMatching(/^[0-9a-z]{8,}$/)],
      [null, 'b', expect.stringMatching(/^[0-9a-z]{8,}$/)],
      [null, null, 'mine'],
    ]);
  });
});
