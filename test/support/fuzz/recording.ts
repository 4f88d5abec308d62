/** Valid sessions as packets of Engine.IO, recorded from the real client library against the gateway. */

import { connect, emitWithAck } from '../client.ts';
import { audioChunks, codedAudio } from '../coded-audio.ts';
import type { Packet } from './attacker.ts';

/** Chunks of 100 ms in each. */
const AUDIO = codedAudio({ utterances: 2, blocks: 20, silentBlocks: 5 });

interface EnginePacket {
  readonly type: string;
  readonly data?: string | ArrayBuffer;
}

/** Blanks that stand for the secrets of whoever sends a recorded session. */
export const SECRETS = ['session_id', 'resume_token', 'watch_token'] as const;
type Secrets = Record<(typeof SECRETS)[number], string>;

export interface Recording {
  readonly packets: readonly Packet[];
  /** What the session was told, and its packets say. */
  readonly secrets: Secrets;
}

/** One session of each kind: both versions, audio as text and as attachments, with all that version 2 has besides. */
export async function recordSessions(url: string): Promise<Recording[]> {
  const recordings: Recording[] = [];
  for (const protocol of [1, 2]) {
    for (const isBinary of [false, true]) recordings.push(await record(url, protocol, isBinary));
  }
  return recordings;
}

async function record(url: string, protocol: number, isBinary: boolean): Promise<Recording> {
  const packets: Packet[] = [];
  const client = connect(url, { auth: { protocol }, transports: ['websocket'], autoConnect: false });
  client.socket.io.on('open', () => {
    // `packetCreate` is emitted for every packet that the client writes; the types of the library do not name it.
    const engine = client.socket.io.engine as unknown as {
      on(name: string, listener: (packet: EnginePacket) => void): void;
    };
    engine.on('packetCreate', ({ data, type }) => {
      if (type !== 'message' || data === undefined) return;
      packets.push(typeof data === 'string' ? `4${data}` : Buffer.from(data));
    });
  });
  client.socket.connect();
  await client.next('connected');
  await emitWithAck(client, 'start_transcription', protocol === 2 ? { acks: true } : {});
  const started = await client.next('transcription_started');
  const secrets = Object.fromEntries(SECRETS.map((name) => [name, String(started[name] ?? '')])) as Secrets;
  let seq = 0;
  for (const pcm of audioChunks(AUDIO.pcm)) {
    seq += 1;
    const chunk = isBinary ? pcm : pcm.toString('base64');
    await emitWithAck(client, 'audio_chunk', protocol === 2 ? { chunk, seq } : { chunk });
  }
  if (protocol === 2) {
    const { resume_token, session_id, watch_token } = secrets;
    await emitWithAck(client, 'watch_transcription', { session_id, watch_token, after_seq: 0 });
    await emitWithAck(client, 'unwatch_transcription', { session_id });
    await emitWithAck(client, 'pause_transcription');
    await emitWithAck(client, 'unpause_transcription');
    await emitWithAck(client, 'refresh_token', { token: 'another' });
    await emitWithAck(client, 'resume_transcription', {
      ...{ session_id, resume_token, attempt: 2, epoch: 1, last_seq: 0, last_end: 0, acked: 0 },
      ...{ oldest_chunk: 1, oldest_offset: 0 },
    });
  }
  await emitWithAck(client, 'stop_transcription', protocol === 2 ? { last_chunk: seq } : undefined);
  client.close();
  return { packets, secrets };
}
