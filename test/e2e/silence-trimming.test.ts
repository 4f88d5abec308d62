import { afterEach, describe, expect, it } from 'vitest';
import { connect, emitWithAck } from '../support/client.ts';
import { audioChunks, codedAudio } from '../support/coded-audio.ts';
import { CodedEngine } from '../support/coded-engine.ts';
import { startGateway } from '../support/gateway.ts';
import { JWT_AUTH, signToken } from '../support/tokens.ts';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

const TRIMMED = 'transcribe_gateway_trimmed_seconds_total{engine="coded"}';
/** Pauses of three seconds. */
const AUDIO = codedAudio({ utterances: 4, blocks: 20, silentBlocks: 150 });

/** Speaks, and returns how much silence the engine was spared, in seconds. */
async function spared(tenants: string, start: Record<string, unknown>, protocol: 1 | 2 = 2): Promise<number> {
  const gateway = await startGateway(new CodedEngine(), {
    ...JWT_AUTH,
    ...(tenants !== '' && { GATEWAY_SILENCE_TRIMMING_TENANTS: tenants }),
  });
  open.push(gateway);
  const auth = { ...(protocol === 2 && { protocol }), token: await signToken({ tenant: 'acme' }) };
  const client = connect(gateway.url, { transports: ['websocket'], auth });
  open.push(client);
  await client.next('connected');
  client.socket.emit('start_transcription', start);
  await client.next('transcription_started');
  for (const chunk of audioChunks(AUDIO.pcm))
    await emitWithAck(client, 'audio_chunk', { chunk: chunk.toString('base64') });
  client.socket.emit('stop_transcription');
  await client.next('transcription_stopped');
  expect(client.all('error')).toEqual([]);
  const finals = client.all('transcription_result').filter(({ is_partial }) => is_partial === false);
  expect(finals.map(({ text }) => text).join(' ')).toBe(AUDIO.blocks.map(({ number }) => `b${number}`).join(' '));
  if (protocol === 2) {
    const places = new Map(AUDIO.blocks.map((block) => [block.number, block]));
    const ends = finals.map(({ end_sample, start_sample }) => [start_sample, end_sample]);
    const spoken = AUDIO.utterances.map((numbers) => [
      places.get(numbers[0] ?? 0)?.startSample,
      places.get(numbers.at(-1) ?? 0)?.endSample,
    ]);
    expect(ends).toEqual(spoken);
  }
  return gateway.metric(TRIMMED);
}

describe('silence is trimmed', () => {
  it.each(['acme', 'globex, acme', '*'])('where the app asks for it and its tenant may: %s', async (tenants) => {
    expect(await spared(tenants, { trim_silence: true })).toBeGreaterThan(4);
  });

  it.each([
    ['the tenant may not', 'globex', { trim_silence: true }],
    ['nobody may', '', { trim_silence: true }],
    ['the app does not ask', '*', {}],
    ['the app asks for nothing', '*', { trim_silence: false }],
  ])('not where %s', async (_case, tenants, start) => {
    expect(await spared(tenants, start)).toBe(0);
  });

  it('not for version 1, which has no such field', async () => {
    expect(await spared('*', { language_code: 'en-US', trim_silence: true }, 1)).toBe(0);
  });
});
