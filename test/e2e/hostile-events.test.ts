import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../src/protocol/error-codes.ts';
import type { AckReply } from '../../src/protocol/events.ts';
import { CLIENT_EVENTS } from '../../src/protocol/events.ts';
import { connect, emitWithAck, type TestClient } from '../support/client.ts';
import { CodedEngine } from '../support/coded-engine.ts';
import { payloadOf, write } from '../support/fuzz/events.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { NO_LIMITS } from '../support/no-limits.ts';
import { type RawClient, rawWebSocket } from '../support/raw-client.ts';

/** Of each event; a storm of them with a victim is in test/chaos. */
const RUNS = 60;
const ROUNDS = 1_000;

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function gateway(): Promise<TestGateway> {
  const started = await startGateway(new CodedEngine(), NO_LIMITS);
  closers.push(() => started.release());
  return started;
}

async function v2(url: string): Promise<TestClient> {
  const client = connect(url, { auth: { protocol: 2 }, transports: ['websocket'] });
  closers.push(client.close);
  await client.next('connected');
  return client;
}

/** A socket of version 2 that writes packets as they are. */
async function raw(url: string): Promise<RawClient> {
  const client = await rawWebSocket(url);
  closers.push(client.close);
  client.send('40{"protocol":2}');
  await expect.poll(() => client.received.some((packet) => packet.includes('"connected"'))).toBe(true);
  return client;
}

/** What a packet with the id of an acknowledgement is answered with. */
async function replyTo(client: RawClient, id: string): Promise<AckReply> {
  const head = `43${id}[`;
  const answer = await expect
    .poll(() => client.received.findLast((packet) => packet.startsWith(head)), { interval: 1 })
    .toBeDefined()
    .then(() => client.received.findLast((packet) => packet.startsWith(head)));
  return (JSON.parse(String(answer).slice(head.length - 1)) as [AckReply])[0];
}

const UNKNOWN = { session: 'AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA', resume: 'none', watch: 'none', other: '' };

describe('any data', () => {
  it.each(CLIENT_EVENTS)('of %s is accepted, or refused with a code, and the connection goes on', async (event) => {
    const { url, metric } = await gateway();
    const client = await raw(url);
    let id = 0;
    await fc.assert(
      fc.asyncProperty(payloadOf(event), async (data) => {
        id += 1;
        client.send(write({ event, data }, UNKNOWN, id));
        // Chunks and stops of a session that runs are answered when there is room, or at its end.
        client.send(`42${id}000["start_transcription",{"language_code":5}]`);
        expect(await replyTo(client, `${id}000`)).toMatchObject({ ok: false, error: { code: 'bad_request' } });
        const answer = client.received.find((packet) => packet.startsWith(`43${id}[`));
        if (answer === undefined) return;
        const [reply] = JSON.parse(answer.slice(`43${id}`.length)) as [AckReply];
        if (!reply.ok) expect(ERROR_CODES).toHaveProperty(String(reply.error.code));
      }),
      { numRuns: RUNS },
    );
    expect(client.isClosed).toBe(false);
    expect(await metric('transcribe_gateway_errors_total{code="internal"}')).toBe(0);
    expect({}).not.toHaveProperty('polluted');
  });
});

describe('a name', () => {
  it.each(['error', 'message', '__proto__', 'constructor', 'connection', '', 'transcription_result'])(
    'that is no event of the protocol does nothing: %s',
    async (name) => {
      const { url } = await gateway();
      const client = await raw(url);
      client.send(`42${JSON.stringify([name, {}])}`);
      client.send(`42${JSON.stringify([5, name])}`);
      client.send('421["start_transcription"]');
      expect(await replyTo(client, '1')).toMatchObject({ ok: true });
    },
  );

  it.each(['connect', 'disconnect', 'disconnecting', 'newListener', 'connect_error'])(
    'that Socket.IO keeps for itself ends the connection: %s',
    async (name) => {
      const { url } = await gateway();
      const client = await raw(url);
      client.send(`42${JSON.stringify([name, {}])}`);
      await expect.poll(() => client.isClosed).toBe(true);
      expect(await emitWithAck(await v2(url), 'start_transcription')).toMatchObject({ ok: true });
    },
  );
});

describe('an acknowledgement', () => {
  it.each([
    ['a number that no integer holds', '9'.repeat(30), '1e+30'],
    ['a number without end', '9'.repeat(400), 'Infinity'],
    ['zero', '0', '0'],
  ])('with the id of %s is answered with what that is read as', async (_, id, read) => {
    const { url } = await gateway();
    const client = await raw(url);
    client.send(`42${id}["unwatch_transcription",{"session_id":"x"}]`);
    expect(await replyTo(client, read)).toEqual({ ok: true, session_id: 'x' });
  });

  it('that nobody asked for is for nobody', async () => {
    const { url } = await gateway();
    const client = await raw(url);
    for (const id of ['0', '1', '99999999999999999999']) client.send(`43${id}[{"ok":true}]`);
    client.send('421["start_transcription"]');
    expect(await replyTo(client, '1')).toMatchObject({ ok: true });
  });
});

describe('thousands', () => {
  it('of starts and stops on one connection leave nothing of them behind', async () => {
    const { metric, url } = await gateway();
    const client = await v2(url);
    for (let round = 0; round < ROUNDS; round++) {
      expect(await emitWithAck(client, 'start_transcription')).toMatchObject({ ok: true });
      expect(await emitWithAck(client, 'stop_transcription')).toMatchObject({ ok: true });
    }
    await expect.poll(() => metric('transcribe_gateway_sessions')).toBe(0);
    expect(await metric('transcribe_gateway_engine_streams{engine="coded"}')).toBe(0);
  });

  it('of watches that are refused leave no viewer, and of those that are let in one at most', async () => {
    const { metric, url, warnings } = await gateway();
    const client = await v2(url);
    await emitWithAck(client, 'start_transcription');
    const { session_id, watch_token } = await client.next('transcription_started');
    for (let round = 0; round < ROUNDS; round++) {
      const wrong = { session_id, watch_token: randomBytes(32).toString('base64url') };
      expect(await emitWithAck(client, 'watch_transcription', wrong)).toMatchObject({
        ok: false,
        error: { code: expect.stringMatching(/^(watch_refused|rate_exceeded)$/) },
      });
    }
    await expect.poll(() => metric('transcribe_gateway_viewers')).toBe(0);
    const viewer = await v2(url);
    for (let round = 0; round < ROUNDS; round++) {
      expect(await emitWithAck(viewer, 'watch_transcription', { session_id, watch_token })).toMatchObject({ ok: true });
    }
    expect(await metric('transcribe_gateway_viewers')).toBe(1);
    expect(warnings).toEqual([]);
  });

  it('of guesses at a resume token end with the session where it was', async () => {
    const { url } = await gateway();
    const owner = await v2(url);
    await emitWithAck(owner, 'start_transcription');
    const { session_id } = await owner.next('transcription_started');
    const guesser = await v2(url);
    const known = { attempt: 2, epoch: 1, last_seq: 0, last_end: 0, acked: 0, oldest_chunk: 1, oldest_offset: 0 };
    for (let round = 0; round < ROUNDS; round++) {
      const resume_token = randomBytes(32).toString('base64url');
      const reply = await emitWithAck(guesser, 'resume_transcription', { ...known, session_id, resume_token });
      expect(reply).toMatchObject({
        ok: false,
        error: { code: expect.stringMatching(/^(forbidden|rate_exceeded)$/) },
      });
    }
    expect(owner.all('taken_over')).toEqual([]);
    expect(await emitWithAck(owner, 'stop_transcription')).toMatchObject({ ok: true });
  });
});
