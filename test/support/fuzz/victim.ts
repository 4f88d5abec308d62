/** Somebody who speaks beside the attackers, and whose every word must come. */
import { connect, type TestClient } from '../client.ts';
import { audioChunks, codedAudio, type PlacedBlock } from '../coded-audio.ts';
import { type BlockAccount, reconcile } from '../reconcile.ts';
import { delayUntil } from '../timing.ts';

const CHUNK_MS = 100;
const SAMPLES_A_CHUNK = 1_600;
const PIECE = { utterances: 3, blocks: { min: 15, max: 60 }, silentBlocks: { min: 4, max: 20 } };
/** For the last finals. */
const STOP_MS = 30_000;

export interface VictimRecord {
  readonly account: BlockAccount;
  /** The longest that a chunk waited for its acknowledgement, in milliseconds. */
  readonly longestAnswerMs: number;
  /** Errors that it was sent. */
  readonly errors: readonly unknown[];
  readonly seconds: number;
}

export class Victim {
  readonly #client: TestClient;
  readonly sessionId: string;
  #isOver = false;
  readonly #spoken: Promise<VictimRecord>;

  private constructor(client: TestClient, sessionId: string) {
    this.#client = client;
    this.sessionId = sessionId;
    this.#spoken = this.#speak();
  }

  /** Begins to speak, at the speed of speech. */
  static async begin(url: string): Promise<Victim> {
    const client = connect(url, { auth: { protocol: 2 }, transports: ['websocket'] });
    await client.next('connected');
    client.socket.emit('start_transcription', { acks: true });
    const { session_id } = await client.next('transcription_started');
    return new Victim(client, String(session_id));
  }

  /** Lets it come to the end of what it says. */
  async end(): Promise<VictimRecord> {
    this.#isOver = true;
    return this.#spoken;
  }

  async #speak(): Promise<VictimRecord> {
    const { socket } = this.#client;
    const begin = performance.now();
    const expected: PlacedBlock[] = [];
    let longestAnswerMs = 0;
    let sentChunks = 0;
    let nextBlock = 1;
    for (let seed = 1; !this.#isOver; seed += 1) {
      const piece = codedAudio({ ...PIECE, firstBlock: nextBlock, seed });
      nextBlock += piece.blocks.length;
      const base = sentChunks * SAMPLES_A_CHUNK;
      expected.push(
        ...piece.blocks.map(({ endSample, number, startSample }) => ({
          number,
          startSample: base + startSample,
          endSample: base + endSample,
        })),
      );
      for (const pcm of audioChunks(piece.pcm)) {
        // A last chunk that is shorter would move what follows.
        const chunk = Buffer.concat([pcm, Buffer.alloc(SAMPLES_A_CHUNK * 2 - pcm.length)]);
        sentChunks += 1;
        const sentAt = performance.now();
        socket.emit('audio_chunk', { chunk, seq: sentChunks }, () => {
          longestAnswerMs = Math.max(longestAnswerMs, performance.now() - sentAt);
        });
        await delayUntil(begin + sentChunks * CHUNK_MS);
      }
    }
    socket.emit('stop_transcription', { last_chunk: sentChunks });
    await this.#client.next('transcription_stopped', STOP_MS);
    const finals = this.#client.all('transcription_result').filter(({ is_partial }) => is_partial === false);
    const gaps = this.#client.all('transcription_gap');
    this.#client.close();
    return {
      account: reconcile({
        expected,
        finals: finals.map(({ text }) => String(text)),
        gaps: gaps.map((gap) => ({ fromSample: Number(gap.from_sample), toSample: Number(gap.to_sample) })),
      }),
      longestAnswerMs,
      errors: this.#client.all('error'),
      seconds: (performance.now() - begin) / 1000,
    };
  }
}
