import { afterEach, describe, expect, it } from 'vitest';
import { ScriptedEngine } from '../../src/engines/scripted/scripted-engine.ts';
import { GatewayError } from '../../src/errors.ts';
import { connect, emitWithAck, silence, type TestClient, tone } from '../support/client.ts';
import { scripted, startGateway, type TestGateway } from '../support/gateway.ts';
import { WORKERS } from '../support/workers.ts';

const STEPS = [
  { do: 'partial', atSample: 1600, text: 'hello' },
  { do: 'final', atSample: 3200, text: 'hello world' },
] as const;

const open: { gateways: TestGateway[]; clients: TestClient[] } = { gateways: [], clients: [] };

afterEach(async () => {
  for (const client of open.clients.splice(0)) client.close();
  await Promise.all(open.gateways.splice(0).map((gateway) => gateway.release()));
});

async function gatewayWith(...args: Parameters<typeof startGateway>): Promise<TestGateway> {
  const gateway = await startGateway(...args);
  open.gateways.push(gateway);
  return gateway;
}

function client(gateway: TestGateway, options: Parameters<typeof connect>[1] = {}): TestClient {
  const one = connect(gateway.url, options);
  open.clients.push(one);
  return one;
}

const V2 = { auth: { protocol: 2 } };

describe.each([
  ['WebSocket', ['websocket']],
  ['polling', ['polling']],
  ['polling and upgrade', ['polling', 'websocket']],
])('over %s', (_name, transports) => {
  it('transcribes with version 1, base64 and binary, and shows exactly the fields of its table', async () => {
    const gateway = await gatewayWith(scripted(STEPS));
    const v1 = client(gateway, { transports });
    for (const encode of [(b: Buffer) => b.toString('base64'), (b: Buffer) => b]) {
      v1.socket.emit('start_transcription', { language_code: 'en-US' });
      await v1.next('transcription_started');
      v1.socket.emit('audio_chunk', { chunk: encode(tone(100)) });
      v1.socket.emit('audio_chunk', { chunk: encode(tone(100)) });
      v1.socket.emit('stop_transcription');
      await v1.next('transcription_stopped');
    }
    v1.socket.emit('audio_chunk', { chunk: '' });
    await v1.next('error');

    expect(v1.all('transcription_result').filter((r) => r.is_partial === false)).toEqual([
      { text: 'hello world', is_partial: false },
      { text: 'hello world', is_partial: false },
    ]);
    const keysByEvent = new Map<string, Set<string>>();
    for (const { event, data } of v1.received) {
      const keys = Object.keys(data).sort().join(' ');
      keysByEvent.set(event, (keysByEvent.get(event) ?? new Set()).add(keys));
    }
    expect(Object.fromEntries([...keysByEvent].map(([event, keys]) => [event, [...keys]]))).toEqual({
      connected: ['status'],
      transcription_started: ['language_code message status'],
      transcription_result: ['is_partial text'],
      transcription_stopped: ['message status'],
      error: ['message'],
    });
    expect(v1.all('connected')).toEqual([{ status: 'Connected...' }]);
  });
});

describe('version 1', () => {
  it('takes a start without data as US English', async () => {
    const v1 = client(await gatewayWith(scripted(STEPS)));
    v1.socket.emit('start_transcription');
    expect(await v1.next('transcription_started')).toMatchObject({ language_code: 'en-US' });
  });

  it('answers acknowledgement callbacks without a value, as the original server did', async () => {
    const v1 = client(await gatewayWith(scripted(STEPS)));
    const replies = [
      await emitWithAck(v1, 'start_transcription', { language_code: 'en-US' }),
      await emitWithAck(v1, 'audio_chunk', { chunk: tone(100) }),
      await emitWithAck(v1, 'audio_chunk', { chunk: 'x' }),
      await emitWithAck(v1, 'stop_transcription'),
    ];
    expect(replies).toEqual([undefined, undefined, undefined, undefined]);
  });

  it('accepts the line breaks of Android base64', async () => {
    const v1 = client(await gatewayWith(scripted(STEPS)));
    v1.socket.emit('start_transcription');
    await v1.next('transcription_started');
    const wrapped = tone(200).toString('base64').replace(/.{76}/g, '$&\n').concat('\n');
    v1.socket.emit('audio_chunk', { chunk: wrapped });
    v1.socket.emit('stop_transcription');
    await v1.next('transcription_stopped');
    expect(v1.all('transcription_result').at(-1)).toEqual({ text: 'hello world', is_partial: false });
    expect(v1.all('error')).toEqual([]);
  });

  it('ignores fields of version 2', async () => {
    const v1 = client(await gatewayWith(scripted(STEPS)));
    v1.socket.emit('start_transcription', { language_code: 'en-US', speaker_labels: true, encoding: 'opus' });
    expect(Object.keys(await v1.next('transcription_started')).sort()).toEqual(['language_code', 'message', 'status']);
  });

  it('is told of lost audio in the one word that it has', async () => {
    const engine = scripted([{ do: 'fail', atSample: 1600, error: new GatewayError('engine_rejected', 'no more') }]);
    const v1 = client(await gatewayWith(engine));
    v1.socket.emit('start_transcription');
    await v1.next('transcription_started');
    v1.socket.emit('audio_chunk', { chunk: tone(200) });
    expect((await v1.next('error')).message).toMatch(/Audio from 0 to 200 ms was lost/);
    expect(await v1.next('error')).toEqual({ message: 'no more' });
  });
});

describe('version 2', () => {
  it('is declared by auth or by query', async () => {
    const gateway = await gatewayWith(scripted(STEPS));
    for (const options of [V2, { auth: { protocol: '2' } }, { query: { protocol: '2' } }]) {
      expect(await client(gateway, options).next('connected')).toMatchObject({
        status: 'Connected...',
        protocol: 2,
        connection_id: expect.any(String),
        limits: { chunk_bytes: 32_000 },
      });
    }
    for (const options of [{ auth: { protocol: 3 } }, { auth: { protocol: 1 }, query: { protocol: '2' } }]) {
      expect(await client(gateway, options).next('connected')).toEqual({ status: 'Connected...' });
    }
  });

  it('adds positions, items and confidence to results', async () => {
    const v2 = client(await gatewayWith(scripted(STEPS)), V2);
    const started = await emitWithAck(v2, 'start_transcription', { language_code: 'en-US' });
    expect(started).toEqual({ ok: true, session_id: expect.any(String) });
    const { session_id } = started as { session_id: string };
    expect(await v2.next('transcription_started')).toMatchObject({ session_id, engine: 'scripted' });
    expect(await emitWithAck(v2, 'audio_chunk', { chunk: tone(200) })).toEqual({ ok: true, session_id });
    expect(await emitWithAck(v2, 'stop_transcription')).toEqual({ ok: true, session_id });
    expect(await v2.next('transcription_stopped')).toMatchObject({
      session_id,
      reason: 'client_stop',
      audio_ms: 200,
      finals: 1,
    });
    const [partial, final] = v2.all('transcription_result');
    expect(partial).toMatchObject({ is_partial: true, result_id: final?.result_id });
    expect(final).toEqual({
      text: 'hello world',
      is_partial: false,
      session_id,
      epoch: 1,
      seq: 1,
      result_id: expect.any(String),
      start_sample: 0,
      end_sample: 3200,
      start_ms: 0,
      end_ms: 200,
      language_code: 'en-US',
      confidence: 1,
      items: [
        { content: 'hello', type: 'word', start_sample: 0, end_sample: 1600, start_ms: 0, end_ms: 100, confidence: 1 },
        {
          content: 'world',
          type: 'word',
          start_sample: 1600,
          end_sample: 3200,
          start_ms: 100,
          end_ms: 200,
          confidence: 1,
        },
      ],
    });
  });

  it.each([
    ['an odd number of bytes', { chunk: Buffer.alloc(3) }, 'bad_audio', /3 bytes, an odd number/],
    ['an empty chunk', { chunk: '' }, 'bad_audio', /empty/],
    ['an empty binary chunk', { chunk: Buffer.alloc(0) }, 'bad_audio', /empty/],
    ['text that is not base64', { chunk: '!!!!' }, 'bad_audio', /not base64/],
    ['base64 of the URL alphabet', { chunk: '-_-_' }, 'bad_audio', /not base64/],
    ['base64 cut short', { chunk: 'AAA' }, 'bad_audio', /not base64/],
    ['padding in the middle', { chunk: 'AA==AAAA' }, 'bad_audio', /not base64/],
    ['more than a second', { chunk: Buffer.alloc(32_002) }, 'bad_audio', /32002 bytes; at most 32000/],
    ['more than a second of base64', { chunk: Buffer.alloc(32_002).toString('base64') }, 'bad_audio', /at most/],
    ['a chunk of half a megabyte', { chunk: Buffer.alloc(500_000) }, 'bad_audio', /at most/],
    ['no chunk', {}, 'bad_request', /chunk/],
    ['no data', undefined, 'bad_request', /chunk/],
    ['a chunk of numbers', { chunk: [1, 2] }, 'bad_request', /chunk/],
    ['text for data', 'AAAA', 'bad_request', /audio_chunk/],
    ['null for data', null, 'bad_request', /chunk/],
  ])('names the fault of %s, and the session goes on', async (_name, data, code, message) => {
    const gateway = await gatewayWith(scripted(STEPS));
    const v2 = client(gateway, V2);
    await emitWithAck(v2, 'start_transcription');
    v2.socket.emit('audio_chunk', { chunk: tone(100) });
    const reply = await emitWithAck(v2, 'audio_chunk', data);
    const error = await v2.next('error');
    expect(reply).toEqual({ ok: false, error });
    const { session_id } = await v2.next('transcription_started');
    expect(error).toEqual({
      code,
      message: expect.stringMatching(message),
      retryable: false,
      session_id,
      connection_id: v2.socket.id,
    });
    v2.socket.emit('audio_chunk', { chunk: tone(100).toString('base64') });
    v2.socket.emit('stop_transcription');
    expect(await v2.next('transcription_stopped')).toMatchObject({ audio_ms: 200, finals: 1 });
    expect(await gateway.metric(`transcribe_gateway_errors_total{code="${code}"}`)).toBe(1);
  });

  it.each([
    ['an unknown language', { language_code: 'xx-XX' }, 'unsupported_language', /en-US, de-DE/],
    ['a language that is no text', { language_code: 5 }, 'bad_request', /language_code/],
    ['an empty language', { language_code: '' }, 'bad_request', /language_code/],
    ['text for data', 'en-US', 'bad_request', /start_transcription/],
    ['an encoding that the engine lacks', { encoding: 'opus' }, 'unsupported_encoding', /encoding/],
    ['an unknown encoding', { encoding: 'mp3' }, 'unsupported_encoding', /encoding/],
    ['a sample rate that the engine lacks', { sample_rate: 8000 }, 'unsupported_encoding', /8000.*16000/],
    ['two channels', { channels: 2 }, 'bad_request', /channels/],
    ['a feature that the engine lacks', { speaker_labels: true }, 'bad_request', /speaker_labels/],
    ['another one', { vocabulary: 'names' }, 'bad_request', /vocabulary/],
  ])('refuses a start with %s by name, and the next start works', async (_name, data, code, message) => {
    const v2 = client(await gatewayWith(scripted(STEPS)), V2);
    const reply = await emitWithAck(v2, 'start_transcription', data);
    expect(reply).toMatchObject({ ok: false, error: { code, message: expect.stringMatching(message) } });
    expect(await v2.next('error')).toMatchObject({ code, connection_id: v2.socket.id });
    expect(v2.all('transcription_started')).toEqual([]);
    expect(await emitWithAck(v2, 'start_transcription', { speaker_labels: false, unknown_field: 1 })).toMatchObject({
      ok: true,
    });
  });

  it('refuses what does not fit the state of the session, but takes a repeated stop', async () => {
    const v2 = client(await gatewayWith(scripted([...STEPS, { do: 'delay', atSample: 3200, ms: 200 }])), V2);
    const code = async (event: string, data?: unknown) =>
      (await emitWithAck(v2, event, data)) as { ok: boolean; error?: { code: string } };
    expect(await code('audio_chunk', { chunk: tone(100) })).toMatchObject({ error: { code: 'no_session' } });
    expect(await code('stop_transcription')).toMatchObject({ error: { code: 'no_session' } });
    expect(await code('start_transcription')).toMatchObject({ ok: true });
    expect(await code('start_transcription')).toMatchObject({ error: { code: 'session_exists' } });
    v2.socket.emit('audio_chunk', { chunk: tone(200) });
    v2.socket.emit('stop_transcription');
    const replies = await Promise.all([
      code('stop_transcription'),
      code('audio_chunk', { chunk: tone(100) }),
      code('start_transcription'),
    ]);
    expect(replies.map((reply) => reply.error?.code)).toEqual([undefined, 'no_session', 'session_exists']);
    expect(await v2.next('transcription_stopped')).toMatchObject({ finals: 1 });
    expect(await code('start_transcription')).toMatchObject({ ok: true });
  });

  it('may stop before the engine has opened, and start again after an engine failure', async () => {
    const engine = new ScriptedEngine({
      script: (nth) =>
        nth === 1
          ? { open: { error: new GatewayError('engine_unavailable', 'full', { retryAfterMs: 1000 }) }, steps: [] }
          : { open: { delayMs: 50 }, steps: STEPS },
    });
    const v2 = client(await gatewayWith(engine), V2);
    v2.socket.emit('start_transcription');
    v2.socket.emit('audio_chunk', { chunk: tone(200) });
    expect(await emitWithAck(v2, 'stop_transcription')).toMatchObject({ ok: true });
    await v2.next('transcription_stopped');
    expect(v2.received.map(({ event }) => event).filter((event) => event.startsWith('transcription'))).toEqual([
      'transcription_started',
      'transcription_result',
      'transcription_result',
      'transcription_stopped',
    ]);
    expect(await emitWithAck(v2, 'start_transcription')).toMatchObject({
      ok: false,
      error: { code: 'engine_unavailable', retryable: true, retry_after_ms: 1000 },
    });
    expect(await emitWithAck(v2, 'start_transcription')).toMatchObject({ ok: true });
  });

  it('joins chunks of any length', async () => {
    const v2 = client(await gatewayWith(scripted(STEPS)), V2);
    await emitWithAck(v2, 'start_transcription');
    const audio = tone(300);
    for (let at = 0, length = 2; at < audio.length; at += length, length = (length * 3) % 640 || 2) {
      v2.socket.emit('audio_chunk', { chunk: audio.subarray(at, at + length) });
    }
    v2.socket.emit('stop_transcription');
    expect(await v2.next('transcription_stopped')).toMatchObject({ audio_ms: 300, finals: 1 });
  });

  it('bounds what waits for a stalled engine and paces a fast sender by its acknowledgements', async () => {
    const engine = scripted([{ do: 'hang', atSample: 1 }]);
    const v2 = client(await gatewayWith(engine, { GATEWAY_BACKLOG_MS: '1000', GATEWAY_FLUSH_TIMEOUT_MS: '100' }), V2);
    await emitWithAck(v2, 'start_transcription');
    // The first chunk is on its way into the engine and does not wait any more.
    await emitWithAck(v2, 'audio_chunk', { chunk: tone(100) });
    let paced = 0;
    for (let n = 0; n < 10; n++) v2.socket.emit('audio_chunk', { chunk: tone(100) }, () => paced++);
    const refused = await emitWithAck(v2, 'audio_chunk', { chunk: tone(100) });
    expect(refused).toMatchObject({
      ok: false,
      error: { code: 'audio_rate_exceeded', retryable: true, retry_after_ms: 500 },
    });
    await expect.poll(() => paced).toBe(5);
    v2.socket.emit('stop_transcription');
    await v2.next('error');
  });

  it('says aloud what an engine that never finishes has lost', async () => {
    const engine = scripted([{ do: 'hang', atSample: 1 }]);
    const v2 = client(await gatewayWith(engine, { GATEWAY_FLUSH_TIMEOUT_MS: '100' }), V2);
    await emitWithAck(v2, 'start_transcription');
    await emitWithAck(v2, 'audio_chunk', { chunk: tone(100) });
    v2.socket.emit('audio_chunk', { chunk: tone(100) });
    v2.socket.emit('stop_transcription');
    expect(await v2.next('transcription_gap')).toMatchObject({ from_ms: 0, to_ms: 200, reason: 'engine_failed' });
    expect(await v2.next('transcription_stopped')).toMatchObject({ finals: 0, audio_ms: 200 });
  });

  it('does not call silence lost', async () => {
    const engine = scripted([{ do: 'hang', atSample: 1 }]);
    const v2 = client(await gatewayWith(engine, { GATEWAY_FLUSH_TIMEOUT_MS: '100' }), V2);
    await emitWithAck(v2, 'start_transcription');
    v2.socket.emit('audio_chunk', { chunk: silence(200) });
    v2.socket.emit('stop_transcription');
    await v2.next('transcription_stopped');
    expect(v2.all('transcription_gap')).toEqual([]);
  });
});

/** Speaks for a client whose network takes nothing any more, until `done`. */
async function speakToTheDeaf(gateway: TestGateway, done: () => Promise<boolean>): Promise<TestClient> {
  const deaf = client(gateway, { ...V2, transports: ['websocket'] });
  await emitWithAck(deaf, 'start_transcription');
  const { ws } = deaf.socket.io.engine.transport as unknown as { ws: { pause(): void } };
  ws.pause();
  await expect
    .poll(
      () => {
        // Not only as often as it can be asked: one that answers no ping is cut for that before long.
        for (let n = 0; n < 5; n++) deaf.socket.emit('audio_chunk', { chunk: tone(100) });
        return done();
      },
      { timeout: 60_000, interval: 100 },
    )
    .toBe(true);
  return deaf;
}

/** For each chunk of 100 ms so many results of 4 kB: enough to fill the buffers of the kernel soon. */
function* talkative(kind: 'partial' | 'final', perChunk: number, words = 800) {
  for (let n = 1; ; n++) {
    const fromSample = Math.floor(((n - 1) * 1600) / perChunk);
    yield { do: kind, fromSample, atSample: Math.floor((n * 1600) / perChunk), text: 'word '.repeat(words) } as const;
  }
}

describe('a client that does not read', () => {
  it('is spared partials', async () => {
    const gateway = await gatewayWith(scripted(talkative('partial', 100)));
    await speakToTheDeaf(gateway, async () => (await gateway.metric('transcribe_gateway_partials_skipped_total')) > 0);
    expect(await gateway.metric('transcribe_gateway_slow_connections_total')).toBe(0);
  });

  it('is cut when its finals pile up, so that they do not fill the memory', async () => {
    const gateway = await gatewayWith(scripted(talkative('final', 100)), { GATEWAY_RESUME_WINDOW_MS: '1000' });
    await speakToTheDeaf(
      gateway,
      async () => (await gateway.metric('transcribe_gateway_slow_connections_total')) === 1,
    );
    await expect.poll(() => gateway.metric('transcribe_gateway_sessions'), { timeout: 5_000 }).toBe(0);
  });

  it('is not mistaken for one that is sent many results at once', async () => {
    // Workers commit each final to Redis before it is sent, so that fewer come at once.
    const perChunk = WORKERS > 1 ? 200 : 1600;
    const gateway = await gatewayWith(scripted(talkative('final', perChunk, 8)));
    const v2 = client(gateway, V2);
    await emitWithAck(v2, 'start_transcription');
    for (let n = 0; n < 2; n++) v2.socket.emit('audio_chunk', { chunk: tone(100) });
    v2.socket.emit('stop_transcription');
    await v2.next('transcription_stopped', 60_000);
    expect(v2.all('transcription_result')).toHaveLength(2 * perChunk);
  });
});

describe('the gateway', () => {
  it('ends the session and frees the engine when the client is gone', async () => {
    const engine = scripted(STEPS);
    const gateway = await gatewayWith(engine);
    const v1 = client(gateway);
    v1.socket.emit('start_transcription');
    await v1.next('transcription_started');
    expect(engine.openStreams).toBe(1);
    v1.close();
    await expect.poll(() => engine.openStreams).toBe(0);
    await expect.poll(() => gateway.metric('transcribe_gateway_sessions')).toBe(0);
    expect(await gateway.metric('transcribe_gateway_sessions_ended_total{reason="disconnected"}')).toBe(1);
  });

  it('serves the browser client and says on / what it is', async () => {
    const gateway = await gatewayWith(scripted(STEPS));
    const script = await fetch(`${gateway.url}/socket.io/socket.io.js`);
    expect(script.status).toBe(200);
    expect(await script.text()).toContain('Socket.IO v4.8');
    expect(await (await fetch(gateway.url)).json()).toMatchObject({ service: 'transcribe-gateway', protocols: [1, 2] });
  });

  it('puts connection_id and session_id into its log lines, and no word that was said', async () => {
    const gateway = await gatewayWith(scripted(STEPS));
    const v2 = client(gateway, V2);
    const reply = (await emitWithAck(v2, 'start_transcription')) as { session_id: string };
    const audio = tone(200).toString('base64');
    v2.socket.emit('audio_chunk', { chunk: audio });
    v2.socket.emit('audio_chunk', { chunk: '?' });
    await emitWithAck(v2, 'stop_transcription');
    const lines = () => gateway.logs.filter((line) => line.connection_id === v2.socket.id);
    await expect
      .poll(() => lines().map(({ msg, session_id }) => [msg, session_id]))
      .toEqual([
        ['client connected', undefined],
        ['session started', reply.session_id],
        ['error sent to client', reply.session_id],
        ['session ended', reply.session_id],
      ]);
    const everything = JSON.stringify(gateway.logs);
    expect(everything).not.toContain('hello');
    expect(everything).not.toContain(audio.slice(0, 40));
  });

  it('does not offer compression', async () => {
    const gateway = await gatewayWith(scripted(STEPS));
    const v1 = client(gateway, { transports: ['websocket'], perMessageDeflate: { threshold: 0 } });
    await v1.next('connected');
    const socket = (v1.socket.io.engine.transport as unknown as { ws: { extensions: string } }).ws;
    expect(socket.extensions).toBe('');
  });
});
