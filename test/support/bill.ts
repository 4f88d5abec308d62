/** The same audio by two ways to an emulator of Amazon Transcribe, to compare what each is billed and what each hears. */
import { StartStreamTranscriptionCommand, TranscribeStreamingClient } from '@aws-sdk/client-transcribe-streaming';
import { io } from 'socket.io-client';
import { BYTES_PER_SAMPLE, CHUNK_BYTES, SAMPLE_RATE } from '../../src/protocol/audio.ts';
import type { ResultEvent } from '../../src/protocol/events.ts';
import { audioChunks } from './coded-audio.ts';
import { delayUntil } from './timing.ts';

const CHUNK_MS = (CHUNK_BYTES / BYTES_PER_SAMPLE / SAMPLE_RATE) * 1000;
/** For a connection, a start and the last finals. */
const PATIENCE_MS = 30_000;

/** The account that the relay without a gateway is billed to. */
export const STOCK_KEY = { accessKeyId: 'stock', secretAccessKey: 'stock' };

/** Chunks as a microphone has them. @param speed × real time */
async function* live(pcm: Buffer, speed: number): AsyncGenerator<Buffer> {
  let deadline = performance.now();
  for (const chunk of audioChunks(pcm, CHUNK_BYTES)) {
    deadline += CHUNK_MS / speed;
    await delayUntil(deadline);
    yield chunk;
  }
}

/** A relay as it is written first: one stream of the official SDK, every sample sent. @returns what it heard */
export async function stockRelay(url: string, pcm: Buffer, speed = 1): Promise<string> {
  const client = new TranscribeStreamingClient({ region: 'us-east-1', endpoint: url, credentials: STOCK_KEY });
  const audio = async function* () {
    for await (const chunk of live(pcm, speed)) yield { AudioEvent: { AudioChunk: chunk } };
  };
  const { TranscriptResultStream: events = [] } = await client.send(
    new StartStreamTranscriptionCommand({
      LanguageCode: 'en-US',
      MediaEncoding: 'pcm',
      MediaSampleRateHertz: SAMPLE_RATE,
      AudioStream: audio(),
    }),
  );
  const texts: string[] = [];
  for await (const { TranscriptEvent } of events) {
    for (const result of TranscriptEvent?.Transcript?.Results ?? []) {
      if (result.IsPartial === false) texts.push(result.Alternatives?.[0]?.Transcript ?? '');
    }
  }
  client.destroy();
  return texts.join(' ');
}

/** A client of the gateway that has its silence trimmed. @returns the finals */
export async function trimmedSession(url: string, pcm: Buffer, speed = 1): Promise<ResultEvent[]> {
  const socket = io(url, { auth: { protocol: 2 }, transports: ['websocket'], forceNew: true, reconnection: false });
  const finals: ResultEvent[] = [];
  const stopped = Promise.withResolvers<void>();
  // Awaited at the end; it may fail before.
  stopped.promise.catch(() => undefined);
  socket.on('transcription_result', (result: ResultEvent) => {
    if (!result.is_partial) finals.push(result);
  });
  socket.on('error', (error: { code: string }) => stopped.reject(new Error(`the gateway says ${error.code}`)));
  socket.on('disconnect', () => stopped.reject(new Error('the connection was cut')));
  socket.on('transcription_stopped', () => stopped.resolve());
  await socket.timeout(PATIENCE_MS).emitWithAck('start_transcription', { acks: true, trim_silence: true });
  for await (const chunk of live(pcm, speed)) socket.emit('audio_chunk', { chunk });
  socket.emit('stop_transcription', {});
  const timer = setTimeout(() => stopped.reject(new Error('the session did not stop')), PATIENCE_MS);
  await stopped.promise;
  clearTimeout(timer);
  socket.off('disconnect');
  socket.disconnect();
  return finals;
}
