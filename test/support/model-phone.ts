/**
 * A client of the protocol's version 2, as simple as it can be, on a bad network: what it must do, and what it must be
 * able to rely on, whatever connections, gateways and store do. Whatever it was promised and did not get it notes
 * (`broken`).
 *
 * It speaks coded audio on one timeline of its own, over all sessions that it needs.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { io, type Socket } from 'socket.io-client';
import { BLOCK_SAMPLES } from '../../src/emulator/coded-block.ts';
import { audioChunks, codedAudio, type PlacedBlock } from './coded-audio.ts';
import { type BlockAccount, reconcile } from './reconcile.ts';
import { waitUntil } from './timing.ts';

const CHUNK_SAMPLES = 5 * BLOCK_SAMPLES;
/** Blocks of silence after an utterance: a moment, or for one that has silence trimmed, up to some seconds. */
const SILENCE = { min: 3, max: 9 };
const PAUSES = { min: 3, max: 160 };
const ANSWER_MS = 4_000;
const RETRY_MS = 30;
/** How long something is waited for that may never be said. */
const MOMENT_MS = 100;
/** Blocks from this number on were said by nobody. */
const BABBLE = 1_000_000;
/** For everything to come right once nothing goes wrong any more. */
const PATIENCE_MS = 20_000;

type Data = Readonly<Record<string, unknown>>;

/** A number of samples or entries in an event. */
const count = (data: Data, name: string): number => Number(data[name] ?? Number.NaN);

/** One connection, also after the phone has turned to another. */
interface Line {
  readonly socket: Socket;
  readonly pod: string;
  readonly connected: Promise<unknown>;
  /** What it says is lost. */
  deaf: boolean;
  /** The session is said to be elsewhere: nothing more may be said here. */
  isTakenOver: boolean;
  /** The session goes on here as far as the phone knows. */
  isLive: boolean;
  sessionId: string | undefined;
}

interface Chunk {
  readonly seq: number;
  /** Positions in the session, in samples. */
  readonly from: number;
  readonly to: number;
  readonly pcm: Buffer;
}

interface Credentials {
  readonly session_id: string;
  readonly resume_token: string;
  readonly watch_token: string;
}

/** What a gateway said on one of the connections. */
export interface Said {
  readonly pod: string;
  /** On a connection that the phone does not listen to any more. */
  readonly isGhost: boolean;
  readonly event: string;
  readonly data: Data;
}

/** A final as the application was given it; positions in samples of the session. */
export interface Given {
  readonly seq: number;
  readonly text: string;
  readonly from: number;
  readonly to: number;
}

/** What the store has been through, and what may therefore happen. */
export interface Excuses {
  /** It has lost data, and with them the way to what the client missed. */
  storeLost: boolean;
}

export class ModelPhone {
  readonly broken: string[] = [];
  /** What happened, for whoever looks into a failure. */
  readonly trace: string[] = [];
  /** All that was said to it, and the finals that it gave to its application. */
  readonly said: Said[] = [];
  readonly given: Given[] = [];
  /** The connections that it has turned from are sent its audio as well. */
  echoes = false;
  readonly #pods: Readonly<Record<string, string>>;
  readonly #seed: number;
  readonly #excuses: Excuses;
  readonly #trims: boolean;
  readonly #lines: Line[] = [];
  #line: Line | undefined;
  #wake = Promise.withResolvers<void>();
  /** What the connection is good for no more. */
  #need: 'start' | 'resume' | undefined = 'start';
  #isResuming = false;

  /** All that was said, and how much of it is in chunks, in bytes. */
  #pcm = Buffer.alloc(0);
  readonly #blocks: PlacedBlock[] = [];
  #utterances = 0;
  #chunked = 0;

  readonly #startKey = randomUUID();
  #startAttempt = 0;
  #session: Credentials | undefined;
  /** Where the session begins on the phone's timeline, in samples. */
  #base = 0;
  #attempt = 0;
  #epoch = 0;
  /** The highest when it asked to go on. */
  #askedEpoch = 0;
  #lastSeq = 0;
  #lastEnd = 0;
  #acked = 0;
  #replayed = 0;
  /** Those that are not acknowledged; the one that is sent next. */
  #chunks: Chunk[] = [];
  #nextSeq = 1;
  #nextOffset = 0;
  #cursor = 1;
  #hasForgotten = false;
  #stopped: Data | undefined;

  readonly #finals: string[] = [];
  readonly #gaps: { fromSample: number; toSample: number; reason: string }[] = [];
  readonly #heard = new Set<number>();
  #settled = 0;
  readonly counts = {
    sessions: 0,
    resumes: 0,
    takenOver: 0,
    entries: 0,
    gaps: 0,
    acks: 0,
    notDurable: 0,
    withoutStore: 0,
  };

  /**
   * @param pods URLs of the gateways by name
   * @param trims it asks to have silence trimmed, and makes pauses for which that is worth while
   */
  constructor(pods: Readonly<Record<string, string>>, seed: number, excuses: Excuses, trims = false) {
    this.#pods = pods;
    this.#trims = trims;
    this.#seed = seed;
    this.#excuses = excuses;
  }

  /** What it goes on with its session by. */
  get session(): Credentials | undefined {
    return this.#session;
  }

  /** The highest that it has seen. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Says so many chunks of audio, and sends them if it can. */
  speak(chunks: number): void {
    const many = this.#trims ? PAUSES.max / SILENCE.max : 1;
    const end = this.#chunked + Math.ceil(chunks * many) * CHUNK_SAMPLES * 2;
    while (this.#pcm.length < end) this.#say();
    this.#chunked = end;
    this.#fill();
    this.#send();
  }

  /** Waits for something to be said to it, for a moment at most. */
  async listen(events: number): Promise<void> {
    const deadline = performance.now() + MOMENT_MS;
    for (let n = 0; n < events && performance.now() < deadline; n++) await waitUntil(deadline, this.#wake.promise);
  }

  /** The connection is closed. */
  drop(): void {
    this.#line?.socket.disconnect();
    this.#turnAway();
  }

  /** The phone has forgotten the connection, and the gateway knows nothing of it. */
  leaveOpen(): void {
    this.#turnAway();
  }

  /** Every connection is closed, those too that it has forgotten. */
  vanish(): void {
    this.close();
    this.#turnAway();
  }

  /** What the gateway says is lost from now on; what the phone says arrives. */
  deafen(): void {
    if (this.#line === undefined) return;
    this.#line.deaf = true;
    this.#need ??= 'resume';
  }

  duplicate(n: number): void {
    const sent = this.#chunks.filter(({ seq }) => seq < this.#cursor);
    this.#emitChunk(this.#line, sent[n % Math.max(1, sent.length)]);
  }

  /** Sends a chunk before the one that is next. */
  skip(): void {
    this.#emitChunk(this.#line, this.#chunkOf(this.#cursor + 1));
  }

  /** A chunk that was on its way for long arrives on an old connection. */
  haunt(n: number): void {
    const ghosts = this.#ghosts;
    this.#emitChunk(ghosts[n % Math.max(1, ghosts.length)], this.#chunks[n % Math.max(1, this.#chunks.length)]);
  }

  /** Connections that it has turned from are sent what nobody said, and nobody may be given. @returns its first word */
  babble(): string {
    const { pcm } = codedAudio({ utterances: 2, blocks: 7, silentBlocks: 5, firstBlock: BABBLE });
    let [seq, from] = [this.#nextSeq, this.#nextOffset];
    for (const piece of audioChunks(pcm)) {
      const to = from + piece.length / 2;
      for (const line of this.#ghosts) this.#emitChunk(line, { seq, from, to, pcm: piece });
      [seq, from] = [seq + 1, to];
    }
    return `b${BABBLE}`;
  }

  pause(): void {
    if (this.#line?.isLive) this.#line.socket.emit('pause_transcription');
  }

  /** The oldest chunks do not fit any more. */
  forget(n: number): void {
    if (this.#chunks.length === 0) return;
    this.#chunks.splice(0, n);
    this.#hasForgotten = true;
    if (this.#cursor < this.#oldest.seq) this.#need ??= 'resume';
  }

  /**
   * Goes on with a gateway, once; starts if there is nothing to go on with.
   * @param pod the gateway, or `same` for the connection that it has
   * @param impatient without its answer
   */
  async turnTo(pod: string, impatient = false): Promise<void> {
    if (this.#session === undefined) await this.#start(pod in this.#pods ? pod : 'a');
    else await this.#resume(pod, impatient);
    this.#send();
  }

  /** Resolves when all that was said and ended is accounted for. */
  async settle(): Promise<void> {
    await this.#until('everything is heard', () => {
      const spoken = this.#blocks.filter(({ endSample }) => endSample * 2 <= this.#chunked);
      // The last utterance may still go on.
      const last = this.#blocks.findLast(
        (block, index) => block.endSample < (this.#blocks[index + 1]?.startSample ?? block.endSample),
      );
      const ended = this.#chunked / 2 - 4 * BLOCK_SAMPLES;
      return spoken.every((block) => {
        const isOver = block.number <= (last?.number ?? 0) && block.endSample <= ended;
        return !isOver || this.#isCovered(block) || this.#utteranceEnd(block) > ended;
      });
    });
  }

  /** Ends the session, whatever it takes. @param loseAnswer the first answer is lost */
  async stop(loseAnswer: boolean): Promise<BlockAccount> {
    let isLost = !loseAnswer;
    await this.#until(
      'transcription_stopped',
      () => this.#stopped !== undefined,
      () => {
        if (this.#line?.isLive !== true || this.#cursor < this.#nextSeq) return;
        this.#line.socket.emit('stop_transcription', { last_chunk: this.#nextSeq - 1 });
        if (isLost) return;
        isLost = true;
        this.leaveOpen();
      },
    );
    if (this.#stopped !== undefined && count(this.#stopped, 'last_seq') !== this.#lastSeq) {
      this.#break(`stopped after entry ${this.#stopped.last_seq}, and ${this.#lastSeq} was the last`);
    }
    const expected = this.#blocks.filter(({ endSample }) => endSample * 2 <= this.#chunked);
    return reconcile({ expected, finals: this.#finals, gaps: this.#gaps });
  }

  close(): void {
    for (const { socket } of this.#lines) socket.disconnect();
  }

  #say(): void {
    const { pcm, blocks } = codedAudio({
      utterances: 1,
      blocks: { min: 2, max: 25 },
      silentBlocks: this.#trims ? PAUSES : SILENCE,
      firstBlock: this.#blocks.length + 1,
      seed: this.#seed * 1_009 + this.#utterances++,
    });
    const at = this.#pcm.length / 2;
    for (const { endSample, number, startSample } of blocks) {
      this.#blocks.push({ number, startSample: at + startSample, endSample: at + endSample });
    }
    this.#pcm = Buffer.concat([this.#pcm, pcm]);
  }

  #utteranceEnd({ number }: PlacedBlock): number {
    let index = number - 1;
    for (;;) {
      const [block, next] = [this.#blocks[index], this.#blocks[index + 1]];
      if (block === undefined) return Number.POSITIVE_INFINITY;
      if (next === undefined || next.startSample > block.endSample) return block.endSample;
      index++;
    }
  }

  /** Makes chunks of what was said. */
  #fill(): void {
    for (;;) {
      const at = (this.#base + this.#nextOffset) * 2;
      if (at >= this.#chunked) return;
      const pcm = this.#pcm.subarray(at, Math.min(at + CHUNK_SAMPLES * 2, this.#chunked));
      const to = this.#nextOffset + pcm.length / 2;
      this.#chunks.push({ seq: this.#nextSeq++, from: this.#nextOffset, to, pcm });
      this.#nextOffset = to;
    }
  }

  get #oldest(): { seq: number; from: number } {
    return this.#chunks[0] ?? { seq: this.#nextSeq, from: this.#nextOffset };
  }

  #chunkOf(seq: number): Chunk | undefined {
    return this.#chunks.find((chunk) => chunk.seq === seq);
  }

  #send(): void {
    while (this.#line?.isLive === true && this.#cursor < this.#nextSeq) {
      const chunk = this.#chunkOf(this.#cursor);
      if (chunk === undefined) return;
      for (const line of [this.#line, ...(this.echoes ? this.#ghosts : [])]) this.#emitChunk(line, chunk);
      this.#cursor++;
    }
  }

  get #ghosts(): Line[] {
    return this.#lines.filter((line) => line !== this.#line && line.sessionId === this.#session?.session_id);
  }

  #emitChunk(line: Line | undefined, chunk: Chunk | undefined): void {
    if (line === undefined || chunk === undefined) return;
    line.socket.emit('audio_chunk', { chunk: chunk.pcm, seq: chunk.seq, offset: chunk.from });
  }

  #turnAway(): void {
    if (this.#line !== undefined) this.#line.isLive = false;
    this.#line = undefined;
    this.#need ??= 'resume';
  }

  #open(pod: string): Line {
    this.#turnAway();
    const socket = io(this.#pods[pod], {
      forceNew: true,
      reconnection: false,
      transports: ['websocket'],
      auth: { protocol: 2 },
    });
    const connected = new Promise((resolve) => socket.once('connected', resolve));
    const line: Line = {
      socket,
      pod,
      connected,
      deaf: false,
      isTakenOver: false,
      isLive: false,
      sessionId: this.#session?.session_id,
    };
    socket.onAny((event: string, data: Data) => this.#take(line, event, data));
    this.#lines.push(line);
    this.#line = line;
    return line;
  }

  async #start(pod: string): Promise<void> {
    const line = this.#open(pod);
    await line.connected;
    // What it has is on its own side; the session begins after it.
    this.#base = Math.max(this.#settled, this.#base + this.#acked);
    [this.#epoch, this.#attempt, this.#lastSeq, this.#lastEnd, this.#acked] = [0, 0, 0, 0, 0];
    [this.#chunks, this.#nextSeq, this.#nextOffset, this.#cursor] = [[], 1, 0, 1];
    this.#fill();
    const attempt = ++this.#startAttempt;
    const start = { acks: true, start_key: this.#startKey, attempt, trim_silence: this.#trims };
    const reply = await this.#ask(line, 'start_transcription', start);
    if (reply?.ok !== true && line === this.#line) this.#turnAway();
    if (this.#session === undefined) this.#need = 'start';
  }

  async #resume(pod: string, impatient: boolean): Promise<void> {
    const stays = pod === 'same' && this.#line?.isLive === true && !this.#line.deaf;
    const line = stays && this.#line !== undefined ? this.#line : this.#open(pod in this.#pods ? pod : 'a');
    await line.connected;
    // What was on its way before the resume is said again by it.
    line.isLive = false;
    if (this.#session === undefined) return;
    const { resume_token, session_id } = this.#session;
    const request = {
      session_id,
      resume_token,
      attempt: ++this.#attempt,
      epoch: this.#epoch,
      last_seq: this.#lastSeq,
      last_end: this.#lastEnd,
      acked: this.#acked,
      oldest_chunk: this.#oldest.seq,
      oldest_offset: this.#oldest.from,
    };
    this.trace.push(`resume at ${pod}: ${JSON.stringify({ ...request, session_id: '', resume_token: '' })}`);
    if (impatient) {
      line.socket.emit('resume_transcription', request);
      this.#turnAway();
      return;
    }
    this.#isResuming = true;
    this.#replayed = 0;
    this.#askedEpoch = this.#epoch;
    const reply = await this.#ask(line, 'resume_transcription', request);
    this.#isResuming = false;
    if (line !== this.#line) return;
    const error = reply?.error as Data | undefined;
    if (reply?.ok === true) return;
    this.#turnAway();
    switch (error?.code) {
      case 'resume_refused':
        this.#attempt = Math.max(this.#attempt, count(error, 'attempt'));
        return;
      case 'resume_expired':
        this.#lose();
        return;
      case 'store_unavailable':
        if (!(count(error, 'retry_after_ms') > 0)) this.#break('store_unavailable without retry_after_ms');
        return;
      default:
        this.#break(`resume: ${JSON.stringify(reply)}`);
    }
  }

  async #ask(line: Line, event: string, data: object): Promise<Data | undefined> {
    const answer = line.socket.timeout(ANSWER_MS).emitWithAck(event, data);
    return answer.catch(() => undefined) as Promise<Data | undefined>;
  }

  /** The session is gone. */
  #lose(): void {
    this.#session = undefined;
    this.#need = 'start';
    this.#stopped = undefined;
  }

  /** Mends whatever is in need of it until a condition holds. */
  async #until(what: string, isSo: () => boolean, onLive: () => void = () => undefined): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    let wasLive: Line | undefined;
    for (let turn = 0; !isSo(); turn++) {
      if (performance.now() > deadline) {
        this.#break(`not within ${PATIENCE_MS} ms: ${what}`);
        return;
      }
      if (this.#need !== undefined) {
        await this.turnTo(Object.keys(this.#pods)[turn % 2] ?? '');
        if (this.#need !== undefined) await delay(RETRY_MS);
      }
      this.#send();
      if (this.#line !== wasLive) onLive();
      if (this.#line?.isLive === true && this.#cursor >= this.#nextSeq) wasLive = this.#line;
      if (isSo()) return;
      await waitUntil(performance.now() + MOMENT_MS, this.#wake.promise);
    }
  }

  #break(what: string): void {
    this.trace.push(`BROKEN ${what}`);
    this.broken.push(what);
  }

  #take(line: Line, event: string, data: Data): void {
    const isMine = line === this.#line && !line.deaf;
    this.said.push({ pod: line.pod, isGhost: !isMine, event, data });
    if (event !== 'connected') this.trace.push(`${isMine ? '' : 'ghost '}${line.pod} ${event} ${brief(data)}`);
    if (line.isTakenOver && event !== 'error') this.#break(`${event} after taken_over`);
    if (event === 'taken_over') line.isTakenOver = true;
    if (isMine) this.#listenTo(line, event, data);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  #listenTo(line: Line, event: string, data: Data): void {
    const isEarly = this.#isResuming && !line.isLive && data.replayed !== true;
    if (isEarly && ['transcription_result', 'transcription_gap', 'audio_ack'].includes(event)) return;
    switch (event) {
      case 'connected':
        return;
      case 'transcription_started':
        this.#session = credentials(data);
        this.#epoch = count(data, 'epoch');
        this.counts.sessions++;
        this.#goLive(line, 1);
        return;
      case 'transcription_resumed':
        this.#resumed(line, data);
        return;
      case 'transcription_result':
        if (data.is_partial === false) this.#final(data);
        else if (count(data, 'after_seq') > this.#lastSeq) this.#break(`partial after an entry that was not sent`);
        return;
      case 'transcription_gap':
        this.#gap(data);
        return;
      case 'audio_ack':
        this.#ack(count(data, 'seq'), count(data, 'offset'));
        return;
      case 'transcription_stopped':
        this.#stopped = data;
        line.isLive = false;
        return;
      case 'taken_over':
        // By a claim of its own whose answer it does not know.
        if (count(data, 'epoch') < this.#epoch) this.#break(`taken over by epoch ${data.epoch}`);
        this.counts.takenOver++;
        this.#turnAway();
        return;
      case 'error':
        this.#error(data);
        return;
      default:
        this.#break(`${event}?`);
    }
  }

  #goLive(line: Line, next: number): void {
    line.sessionId = this.#session?.session_id;
    line.isLive = true;
    this.#need = undefined;
    this.#cursor = next;
    this.#send();
  }

  #resumed(line: Line, data: Data): void {
    this.counts.resumes++;
    const [epoch, next] = [count(data, 'epoch'), count(data, 'next_chunk')];
    // Without the store an owner goes on under the claim that it has.
    if (epoch === this.#askedEpoch) this.counts.withoutStore++;
    if (epoch < this.#epoch) this.#break(`epoch ${epoch} after ${this.#epoch}`);
    this.#epoch = Math.max(epoch, this.#epoch);
    if (next < this.#oldest.seq || next > this.#nextSeq) this.#break(`next_chunk ${next} is not held`);
    const offset = this.#chunkOf(next)?.from ?? this.#nextOffset;
    if (count(data, 'next_offset') !== offset) this.#break(`next_offset ${data.next_offset}, not ${offset}`);
    if (count(data, 'missed') !== this.#replayed) this.#break(`missed ${data.missed}, replayed ${this.#replayed}`);
    this.#goLive(line, next);
  }

  #error(error: Data): void {
    if (this.#isResuming) return;
    switch (error.code) {
      case 'chunk_gap':
        this.#cursor = Math.min(this.#cursor, count(error, 'expected'));
        if (this.#cursor < this.#oldest.seq) this.#turnAway();
        else this.#send();
        return;
      case 'store_unavailable':
        return;
      default:
        this.#break(`error ${error.code}: ${error.message}`);
    }
  }

  #final(data: Data): void {
    const [from, to] = [count(data, 'start_sample'), count(data, 'end_sample')];
    if (!this.#entry(data, from, to)) return;
    const text = String(data.text);
    this.#finals.push(text);
    this.given.push({ seq: count(data, 'seq'), text, from, to });
    const numbers = text.split(' ').map((word) => Number(word.slice(1)));
    const first = this.#blocks[(numbers[0] ?? 0) - 1]?.startSample;
    const last = this.#blocks[(numbers.at(-1) ?? 0) - 1]?.endSample;
    if (first !== this.#base + from || last !== this.#base + to)
      this.#break(`entry ${data.seq} is not where it was said`);
    for (const number of numbers) this.#heard.add(number);
  }

  #gap(data: Data): void {
    const [from, to, reason] = [count(data, 'from_sample'), count(data, 'to_sample'), String(data.reason)];
    const isExcused =
      reason === 'client_overflow' ? this.#hasForgotten : reason === 'journal_trimmed' && this.#excuses.storeLost;
    if (!isExcused) this.#break(`gap ${from}-${to}: ${reason}`);
    if (reason === 'journal_trimmed') this.#lastSeq = Math.max(this.#lastSeq, count(data, 'seq') - 1);
    if (reason === 'journal_trimmed') this.#replayed--;
    if (!this.#entry(data, from, to)) return;
    this.counts.gaps++;
    this.#gaps.push({ fromSample: this.#base + from, toSample: this.#base + to, reason });
  }

  /** @returns false if the entry is there already */
  #entry(data: Data, from: number, to: number): boolean {
    const [seq, epoch] = [count(data, 'seq'), count(data, 'epoch')];
    if (data.replayed === true) this.#replayed++;
    if (data.replayed === true && !this.#isResuming) this.#break(`entry ${seq} is replayed unasked`);
    if (epoch < this.#epoch) this.#break(`entry ${seq} of epoch ${epoch} in ${this.#epoch}`);
    this.#epoch = Math.max(this.#epoch, epoch);
    if (data.durable === false) this.counts.notDurable++;
    if (seq <= this.#lastSeq) {
      this.#break(`entry ${seq} again`);
      return false;
    }
    if (seq !== this.#lastSeq + 1) this.#break(`entry ${seq} after ${this.#lastSeq}`);
    if (from < this.#lastEnd || to < from) this.#break(`entry ${seq} at ${from}-${to} after ${this.#lastEnd}`);
    this.counts.entries++;
    this.#lastSeq = seq;
    this.#lastEnd = to;
    this.#settled = this.#base + to;
    return true;
  }

  #ack(seq: number, offset: number): void {
    const chunk = this.#chunkOf(seq);
    if (chunk !== undefined && chunk.to > offset)
      this.#break(`ack of chunk ${seq} at ${offset}, which ends at ${chunk.to}`);
    if (offset > this.#nextOffset) this.#break(`ack at ${offset} of ${this.#nextOffset}`);
    const to = this.#base + offset;
    const lost = this.#blocks.filter(
      (block) => block.startSample >= this.#base && block.startSample < to && !this.#isCovered(block),
    );
    if (lost.length > 0) this.#break(`ack at ${offset} of b${lost[0]?.number}, which no entry has`);
    this.counts.acks++;
    this.#acked = Math.max(this.#acked, offset);
    this.#chunks = this.#chunks.filter((held) => held.seq > seq);
  }

  #isCovered({ endSample, number, startSample }: PlacedBlock): boolean {
    if (this.#heard.has(number)) return true;
    return this.#gaps.some(({ fromSample, toSample }) => startSample < toSample && fromSample < endSample);
  }
}

function credentials({ resume_token, session_id, watch_token }: Data): Credentials {
  return { session_id: String(session_id), resume_token: String(resume_token), watch_token: String(watch_token) };
}

/** Without what is long or always the same. */
function brief(data: Data): string {
  const { message: _message, session_id: _session, connection_id: _connection, resume_token: _resume, ...rest } = data;
  const { items: _items, watch_token: _watch, start_ms: _start, end_ms: _end, result_id: _result, ...short } = rest;
  return JSON.stringify(short);
}
