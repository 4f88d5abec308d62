/**
 * Records what the stock SDK sends, as the golden frames of the emulator's unit tests:
 *
 *     node test/unit/emulator/record-golden.ts > test/unit/emulator/golden.json
 *
 * The server here only writes down bytes; it shares no code with the emulator, so that the frames judge it.
 */
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { StartStreamTranscriptionCommand, TranscribeStreamingClient } from '@aws-sdk/client-transcribe-streaming';
import type { Golden } from './golden.ts';

const CREDENTIALS = { accessKeyId: 'AKGOLDEN', secretAccessKey: 'golden-secret', sessionToken: 'golden/token==' };

async function* audio() {
  yield { AudioEvent: { AudioChunk: new Uint8Array(Array.from({ length: 32 }, (_, index) => index)) } };
  yield { AudioEvent: { AudioChunk: new Uint8Array(3200).fill(7) } };
}

export async function recordGolden(): Promise<Golden> {
  const server = createServer();
  const received = new Promise<Golden>((resolve) => {
    server.on('stream', (stream, headers) => {
      const parts: Buffer[] = [];
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('end', () => {
        const body = Buffer.concat(parts).toString('hex');
        resolve({ credentials: CREDENTIALS, headers: { ...headers }, body });
        stream.respond({ ':status': 200, 'content-type': 'application/vnd.amazon.eventstream' });
        stream.end();
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = new TranscribeStreamingClient({
    region: 'eu-west-1',
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    // A copy: the SDK writes into the object.
    credentials: { ...CREDENTIALS },
  });
  const command = new StartStreamTranscriptionCommand({
    LanguageCode: 'en-US',
    MediaEncoding: 'pcm',
    MediaSampleRateHertz: 16_000,
    SessionId: '11111111-2222-3333-4444-555555555555',
    VocabularyFilterName: 'filter-1',
    VocabularyFilterMethod: 'mask',
    EnablePartialResultsStabilization: true,
    PartialResultsStability: 'high',
    AudioStream: audio(),
  });
  // The answer without a first event is an error to the SDK; by then everything was sent.
  await client.send(command).catch(() => undefined);
  client.destroy();
  server.close();
  return received;
}

if (import.meta.main) console.log(JSON.stringify(await recordGolden(), null, 2));
