import { EventEmitter } from 'node:events';
import type { Socket } from 'socket.io';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TransportGuard } from '../../../src/socket/transport-guard.ts';

const IDLE_MS = 1_000;

class FakeTransport extends EventEmitter {
  readonly transport = {};
  closed = 0;

  close(): void {
    this.closed++;
    this.emit('close');
  }
}

function setup() {
  const transport = new FakeTransport();
  const offences: string[] = [];
  const guard = new TransportGuard({
    transport: transport as unknown as Socket['conn'],
    idleMs: IDLE_MS,
    onOffence: (offence) => offences.push(offence),
  });
  const send = (data?: string | Buffer, times = 1) => {
    for (let n = 0; n < times; n++) transport.emit('packet', { type: 'message', data });
  };
  return { guard, offences, send, transport };
}

describe('the guard of a transport', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
  afterEach(() => void vi.useRealTimers());

  it('lets one socket be asked for at a time, and any number in a row while there are few', () => {
    const { guard, offences, transport } = setup();
    for (let n = 0; n < 3; n++) {
      expect(guard.take()).toBe(true);
      guard.free();
    }
    expect(guard.take()).toBe(true);
    expect(guard.take()).toBe(false);
    expect(offences).toEqual(['connect_flood']);
    expect(transport.closed).toBe(1);
  });

  it('cuts who asks again and again to be let in', () => {
    const { offences, send } = setup();
    send('0{"token":"wrong"}', 64);
    expect(offences).toEqual([]);
    send('0/other,{}', 2);
    expect(offences).toEqual(['connect_flood']);
  });

  it('cuts who asks with more than a token', () => {
    const { offences, send } = setup();
    send(`0{"token":"${'x'.repeat(8_192)}"}`);
    expect(offences).toEqual([]);
    send(`0{"token":${'['.repeat(16_384)}`);
    expect(offences).toEqual(['connect_flood']);
  });

  it('cuts who asks again and again whether it may move to a WebSocket', () => {
    const { offences, transport } = setup();
    const candidate = { socket: { terminate: vi.fn() } };
    for (let n = 0; n < 64; n++) transport.emit('upgrading', candidate);
    expect(offences).toEqual([]);
    transport.emit('upgrading', candidate);
    expect(offences).toEqual(['probe_flood']);
    expect(candidate.socket.terminate).toHaveBeenCalled();
  });

  it('takes the packets of a minute at once from a client that was away, and 2,000 a second for ever', () => {
    const { offences, send } = setup();
    send('2["audio_chunk"]', 10_000);
    for (let second = 0; second < 60; second++) {
      vi.advanceTimersByTime(1_000);
      send('2["audio_chunk"]', 2_000);
    }
    expect(offences).toEqual([]);
    send('2["audio_chunk"]', 1);
    expect(offences).toEqual(['packet_flood']);
  });

  it('counts packets that are no events as well', () => {
    const { offences, send } = setup();
    send(undefined, 10_001);
    expect(offences).toEqual(['packet_flood']);
  });

  it.each([
    '51-["audio_chunk",{"chunk":{"_placeholder":true,"num":0}}]',
    '51-7["audio_chunk",{}]',
    '61-7[{"_placeholder":true,"num":0}]',
  ])('lets %s wait for its attachment', (packet) => {
    const { offences, send } = setup();
    send(packet);
    send(Buffer.from('51000000000-'));
    expect(offences).toEqual([]);
  });

  it.each(['52-["audio_chunk"]', '51000000000-["audio_chunk"]', '5-[]', `51-["audio_chunk","${'x'.repeat(16_384)}"]`])(
    'cuts a client that announces more than a chunk has: %s',
    (packet) => {
      const { offences, send } = setup();
      send(packet);
      expect(offences).toEqual(['attachments']);
    },
  );

  it('cuts a transport that stays without a socket after it had one, and no other', () => {
    const { guard, offences } = setup();
    guard.take();
    vi.advanceTimersByTime(10 * IDLE_MS);
    guard.free();
    vi.advanceTimersByTime(IDLE_MS - 1);
    guard.take();
    vi.advanceTimersByTime(10 * IDLE_MS);
    expect(offences).toEqual([]);
    guard.free();
    vi.advanceTimersByTime(IDLE_MS);
    expect(offences).toEqual(['no_socket']);
  });

  it('says nothing, and keeps no timer, once the transport is closed', () => {
    const { guard, offences, transport } = setup();
    guard.take();
    transport.close();
    guard.free();
    expect(vi.getTimerCount()).toBe(0);
    expect(guard.take()).toBe(false);
    expect(offences).toEqual([]);
  });
});
