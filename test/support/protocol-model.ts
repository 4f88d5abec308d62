/**
 * The server side of the protocol's version 2, as simple as it can be: one process, everything in memory, an engine that
 * hears coded audio. It is what the client library is tested against, and it checks the client as it goes
 * (`violations`).
 *
 * A record is what a store would hold; `live` is what an owner holds beside it, and dies with its pod.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server, type Socket } from 'socket.io';
import { BlockScanner } from '../../src/emulator/coded-block.ts';
import type { ChunkMessage, ResumeMessage, StartMessage, StopMessage } from '../../src/protocol/client-messages.ts';
import type { Ack, ConnectionLimits, ErrorEvent } from '../../src/protocol/events.ts';

/** Moments at which a fault can strike. */
export type Moment =
  | 'start' // before the answer to a start, whose session exists by then
  | 'chunk' // when a chunk arrives, before it is looked at
  | 'before-commit'
  | 'before-emit' // the entry is committed and not sent
  | 'before-ack' // the entry is sent, its acknowledgement is not
  | 'resume' // the claim is made, nothing is answered
  | 'replay' // some entries are replayed, the resume is not answered
  | 'stop'; // the session is stopped, nothing is answered

/**
 * - `cut`: the connection is gone, its owner keeps the audio.
 * - `die`: the owner is gone with the connection.
 * - `forget`: so is the store.
 * - `refuse`: the chunk is refused for its rate. Only at `chunk`.
 * - `lose`: the chunk is lost inside the server. Only at `chunk`.
 */
export type Fault = 'cut' | 'die' | 'forget' | 'refuse' | 'lose';

export interface ModelOptions {
  /** Called at each moment. */
  readonly fault?: (moment: Moment) => Fault | undefined;
  readonly limits?: Partial<ConnectionLimits>;
  /** No resume, no acknowledgements, no numbers: sessions end with their connection. */
  readonly withoutResume?: boolean;
  /** Looks at the token of each connection; returns an error to refuse it. */
  readonly authorize?: (token: unknown) => Partial<ErrorEvent> | undefined;
  /** The answer to a start, in place of a session. */
  readonly start?: (attempt: number) => Partial<ErrorEvent> | 'queue' | undefined;
  /** Port; default any. */
  readonly port?: number;
}

interface Entry {
  readonly event: 'transcription_result' | 'transcription_gap';
  readonly data: Record<string, unknown>;
  readonly end: number;
}

interface Live {
  socket: Socket | undefined;
  /** Samples received. */
  position: number;
  nextChunk: number;
  scanner: BlockScanner;
  /** Position of the scanner's first sample, and of the end of what it has told. */
  readonly base: number;
  heard: number;
  utterance: { readonly number: number; readonly start: number; readonly end: number }[];
  chunkEnds: { readonly seq: number; readonly end: number }[];
  gapReported: boolean;
  uncommitted: number;
}

interface SessionRecord {
  readonly id: string;
  readonly key: string;
  readonly token: string;
  attempt: number;
  epoch: number;
  entries: Entry[];
  head: number;
  lastEnd: number;
  watermark: { offset: number; chunk: number; chunkEnd: number };
  stopped: Record<string, unknown> | undefined;
  begun: boolean;
  live: Live | undefined;
}

const MAX_UTTERANCE_BLOCKS = 40;

export class ProtocolModel {
  /** What the client did against the protocol. */
  readonly violations: string[] = [];
  readonly seen: { readonly event: string; readonly data: unknown }[] = [];
  /** Entries are provisional while it is set. */
  storeAway = false;
  readonly #options: ModelOptions;
  readonly #http: HttpServer;
  readonly #io: Server;
  readonly #sockets = new Set<Socket>();
  #records = new Map<string, SessionRecord>();

  private constructor(options: ModelOptions) {
    this.#options = options;
    this.#http = createServer();
    this.#io = new Server(this.#http, { perMessageDeflate: false });
    this.#io.use((socket, next) => {
      const refusal = options.authorize?.(socket.handshake.auth.token);
      next(refusal && Object.assign(new Error(refusal.message ?? refusal.code), { data: refusal }));
    });
    this.#io.on('connection', (socket) => this.#serve(socket));
  }

  static async listen(options: ModelOptions = {}): Promise<ProtocolModel> {
    const model = new ProtocolModel(options);
    await once(model.#http.listen(options.port ?? 0, '127.0.0.1'), 'listening');
    return model;
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get sessions(): number {
    return this.#records.size;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** Samples that the only session has received. */
  get position(): number {
    return this.#only().live?.position ?? 0;
  }

  all(event: string): unknown[] {
    return this.seen.filter((one) => one.event === event).map((one) => one.data);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.conn.close(true);
    await this.#io.close();
  }

  /** Cuts every connection. */
  cut(): void {
    for (const socket of this.#sockets) this.#kill(socket);
  }

  /** What a killed pod takes with it. */
  die(): void {
    this.cut();
    for (const record of this.#records.values()) record.live = undefined;
  }

  /** The store is flushed and the owners are gone. */
  forget(): void {
    this.die();
    this.#records.clear();
  }

  /** The owners are gone and the store has failed over to a replica without the last entries and claims. */
  failOver(lostEntries: number, lostEpochs: number): void {
    this.die();
    for (const record of this.#records.values()) {
      record.entries = record.entries.slice(0, Math.max(0, record.head - lostEntries));
      record.head = record.entries.length;
      record.lastEnd = record.entries.at(-1)?.end ?? 0;
      record.watermark = { offset: record.lastEnd, chunk: 0, chunkEnd: 0 };
      record.epoch -= lostEpochs;
    }
  }

  emitToAll(event: string, data: unknown): void {
    for (const socket of this.#sockets) socket.emit(event, data);
  }

  /** Ends the only session: with a flush of what was heard, unless it failed. */
  end(reason: string): void {
    const record = this.#only();
    const { live } = record;
    if (live === undefined) return;
    if (reason !== 'error') this.#final(record, live);
    this.#stopped(record, live, reason);
    live.socket?.emit('transcription_stopped', record.stopped);
    live.socket = undefined;
  }

  /** Another device claims the only session. */
  takeOver(attempt = 1_000): void {
    const record = this.#only();
    const socket = record.live?.socket;
    record.attempt = attempt;
    record.epoch += 1;
    record.live = undefined;
    socket?.emit('taken_over', { session_id: record.id, epoch: record.epoch });
  }

  /** Lets the sessions go that wait in the queue. */
  grant(): void {
    for (const record of this.#records.values()) if (!record.begun) this.#begin(record);
  }

  /** The store is back: what was provisional is committed and acknowledged. */
  storeBack(): void {
    this.storeAway = false;
    for (const record of this.#records.values()) {
      const { live } = record;
      if (live === undefined) continue;
      live.uncommitted = 0;
      this.#moveWatermark(record, live, record.lastEnd);
    }
  }

  #only(): SessionRecord {
    const [record] = this.#records.values();
    if (record === undefined) throw new Error('no session');
    return record;
  }

  #kill(socket: Socket): void {
    this.#sockets.delete(socket);
    socket.removeAllListeners();
    for (const record of this.#records.values()) {
      if (record.live?.socket !== socket) continue;
      record.live.socket = undefined;
      if (this.#options.withoutResume === true) this.#records.delete(record.id);
    }
    socket.conn.close(true);
  }

  /** Carries a fault out; true if the connection is gone. */
  #strikes(moment: Moment, socket: Socket | undefined): Fault | undefined {
    const fault = this.#options.fault?.(moment);
    if (fault === 'cut' && socket !== undefined) this.#kill(socket);
    if (fault === 'die') this.die();
    if (fault === 'forget') this.forget();
    return fault;
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('disconnect', () => this.#kill(socket));
    const on = <T>(event: string, act: (data: T, ack: Ack) => void) => {
      socket.on(event, (data: T, ack?: Ack) => {
        if (event !== 'audio_chunk') this.seen.push({ event, data });
        act(data, ack ?? (() => undefined));
      });
    };
    on<StartMessage>('start_transcription', (data) => this.#start(socket, data));
    on<ChunkMessage>('audio_chunk', (data, ack) => this.#chunk(socket, data, ack));
    on<ResumeMessage>('resume_transcription', (data) => this.#resume(socket, data));
    on<StopMessage>('stop_transcription', (data) => this.#stop(socket, data));
    on('pause_transcription', () => undefined);
    on('unpause_transcription', () => undefined);
    socket.emit('connected', {
      status: 'Connected...',
      protocol: 2,
      connection_id: socket.id,
      limits: { chunk_bytes: 32_000, backlog_ms: 30_000, ...this.#options.limits },
    });
  }

  #recordOf(socket: Socket): SessionRecord | undefined {
    return [...this.#records.values()].find((record) => record.live?.socket === socket);
  }

  #error(socket: Socket, error: Partial<ErrorEvent>): ErrorEvent {
    const event = { message: `${error.code}`, retryable: false, ...error };
    socket.emit('error', event);
    return event;
  }

  #start(socket: Socket, data: StartMessage): void {
    const refusal = this.#options.start?.(data.attempt);
    if (refusal !== undefined && refusal !== 'queue') {
      this.#error(socket, refusal);
      return;
    }
    for (const record of this.#records.values()) {
      if (record.key !== data.start_key) continue;
      if (data.attempt <= record.attempt) {
        this.#error(socket, { code: 'resume_refused', attempt: record.attempt });
        return;
      }
      this.#records.delete(record.id);
    }
    const record: SessionRecord = {
      id: randomUUID(),
      key: data.start_key,
      token: randomUUID(),
      attempt: data.attempt,
      epoch: 1,
      entries: [],
      head: 0,
      lastEnd: 0,
      watermark: { offset: 0, chunk: 0, chunkEnd: 0 },
      stopped: undefined,
      begun: false,
      live: undefined,
    };
    record.live = newLive(record, socket);
    this.#records.set(record.id, record);
    if (this.#strikes('start', socket) !== undefined) return;
    if (refusal === 'queue') {
      const { epoch, id, token } = record;
      socket.emit('transcription_queued', { position: 1, eta_ms: 100, session_id: id, resume_token: token, epoch });
    } else this.#begin(record);
  }

  #begin(record: SessionRecord): void {
    record.begun = true;
    const { epoch, id, token } = record;
    const resume = this.#options.withoutResume === true ? {} : { epoch, resume_token: token };
    const started = { status: 'started', message: 'Transcription started', language_code: 'en-US', engine: 'coded' };
    record.live?.socket?.emit('transcription_started', { ...started, session_id: id, ...resume });
  }

  #chunk(socket: Socket, message: ChunkMessage, ack: Ack): void {
    const fault = this.#strikes('chunk', socket);
    if (fault === 'cut' || fault === 'die' || fault === 'forget' || fault === 'lose') return;
    const record = this.#recordOf(socket);
    const live = record?.live;
    if (record === undefined || live === undefined || record.stopped !== undefined) {
      this.#error(socket, { code: 'no_session' });
      return;
    }
    if (fault === 'refuse') {
      const error = this.#error(socket, { code: 'audio_rate_exceeded', retryable: true, retry_after_ms: 20 });
      ack({ ok: false, error });
      return;
    }
    if (this.#options.withoutResume !== true && message.seq !== live.nextChunk) {
      if (message.seq < live.nextChunk) ack({ ok: true });
      else if (!live.gapReported) {
        live.gapReported = true;
        this.#error(socket, { code: 'chunk_gap', retryable: true, expected: live.nextChunk });
      }
      return;
    }
    if (message.offset !== live.position) {
      this.violations.push(`chunk ${message.seq} says offset ${message.offset}, should be ${live.position}`);
    }
    live.gapReported = false;
    live.nextChunk += 1;
    const audio = Buffer.from(message.chunk);
    const skipped = Math.min(audio.length / 2, Math.max(0, live.base - live.position));
    live.position += audio.length / 2;
    live.chunkEnds.push({ seq: message.seq, end: live.position });
    ack({ ok: true, session_id: record.id });
    this.#hear(record, live, audio.subarray(skipped * 2));
  }

  /** Says a final after each utterance, and when one is long. */
  #hear(record: SessionRecord, live: Live, audio: Buffer): void {
    for (const piece of live.scanner.push(audio)) {
      if (piece.kind === 'block') {
        const start = live.base + piece.startSample;
        live.heard = start + 320;
        live.utterance.push({ number: piece.number, start, end: live.heard });
        if (live.utterance.length >= MAX_UTTERANCE_BLOCKS) this.#final(record, live);
        else if (live.utterance.length % 10 === 0) this.#partial(record, live);
      } else {
        live.heard += piece.samples;
        this.#final(record, live);
        if (record.live === live && live.uncommitted === 0) this.#moveWatermark(record, live, live.heard);
      }
      if (record.live !== live || !this.#records.has(record.id)) return;
    }
  }

  #partial(record: SessionRecord, live: Live): void {
    live.socket?.emit('transcription_result', {
      ...resultOf(live.utterance),
      is_partial: true,
      session_id: record.id,
      epoch: record.epoch,
      after_seq: record.head,
    });
  }

  #final(record: SessionRecord, live: Live): void {
    const { utterance } = live;
    if (utterance.length === 0) return;
    live.utterance = [];
    this.#commit(
      record,
      live,
      'transcription_result',
      { ...resultOf(utterance), is_partial: false },
      utterance.at(-1)?.end ?? 0,
    );
  }

  #commit(
    record: SessionRecord,
    live: Live,
    event: Entry['event'],
    content: Record<string, unknown>,
    end: number,
  ): void {
    if (this.#strikes('before-commit', live.socket) !== undefined && record.live !== live) return;
    record.head += 1;
    record.lastEnd = end;
    const numbers = this.#options.withoutResume === true ? {} : { seq: record.head, epoch: record.epoch };
    const data = { ...content, session_id: record.id, ...numbers };
    record.entries.push({ event, data, end });
    if (this.storeAway) {
      live.uncommitted += 1;
      live.socket?.emit(event, { ...data, durable: false });
      return;
    }
    record.watermark = watermarkAt(live, end, record.watermark);
    this.#strikes('before-emit', live.socket);
    live.socket?.emit(event, data);
    this.#strikes('before-ack', live.socket);
    if (record.live === live) this.#moveWatermark(record, live, end);
  }

  #moveWatermark(record: SessionRecord, live: Live, offset: number): void {
    record.watermark = watermarkAt(live, offset, record.watermark);
    if (this.#options.withoutResume === true) return;
    live.socket?.emit('audio_ack', { seq: record.watermark.chunk, offset: record.watermark.offset });
  }

  #resume(socket: Socket, data: ResumeMessage): void {
    const record = this.#records.get(data.session_id);
    if (record === undefined) {
      this.#error(socket, { code: 'resume_expired' });
      return;
    }
    if (record.token !== data.resume_token) {
      this.#error(socket, { code: 'forbidden' });
      return;
    }
    if (data.attempt <= record.attempt) {
      this.#error(socket, { code: 'resume_refused', attempt: record.attempt });
      return;
    }
    record.attempt = data.attempt;
    this.#witness(record, data);
    record.epoch = Math.max(record.epoch, data.epoch) + 1;
    const previous = record.live?.socket;
    if (previous !== undefined && previous !== socket) {
      previous.emit('taken_over', { session_id: record.id, epoch: record.epoch });
    }
    record.live ??= newLive(record, undefined, data);
    record.live.socket = undefined;
    if (this.#strikes('resume', socket) !== undefined) return;
    for (const entry of record.entries.slice(data.last_seq)) {
      socket.emit(entry.event, { ...entry.data, epoch: record.epoch, replayed: true });
      if (this.#strikes('replay', socket) !== undefined) return;
    }
    if (record.stopped !== undefined) {
      socket.emit('transcription_stopped', record.stopped);
      return;
    }
    this.#attach(record, socket, data);
  }

  #attach(record: SessionRecord, socket: Socket, data: ResumeMessage): void {
    const live = record.live;
    if (live === undefined) return;
    live.socket = socket;
    live.gapReported = false;
    if (!record.begun) {
      this.#begin(record);
      return;
    }
    const gapFrom = live.position;
    const lost = data.oldest_chunk > live.nextChunk;
    if (lost) {
      live.position = data.oldest_offset;
      live.nextChunk = data.oldest_chunk;
      live.chunkEnds.push({ seq: data.oldest_chunk - 1, end: data.oldest_offset });
    }
    socket.emit('transcription_resumed', {
      session_id: record.id,
      epoch: record.epoch,
      next_chunk: live.nextChunk,
      next_offset: live.position,
      missed: record.entries.length - data.last_seq,
    });
    if (!lost) return;
    this.#final(record, live);
    const current = record.live;
    if (current === undefined) return;
    const range = {
      from_sample: gapFrom,
      to_sample: data.oldest_offset,
      from_ms: gapFrom / 16,
      to_ms: data.oldest_offset / 16,
    };
    this.#commit(record, current, 'transcription_gap', { ...range, reason: 'client_overflow' }, data.oldest_offset);
    if (record.live === current) {
      const fresh = newLive(record, current.socket);
      record.live = {
        ...fresh,
        position: current.position,
        nextChunk: current.nextChunk,
        chunkEnds: current.chunkEnds,
      };
    }
  }

  /** A store that knows less than the client is wrong. */
  #witness(record: SessionRecord, data: ResumeMessage): void {
    const late = record.epoch < data.epoch;
    if (!late && record.head >= data.last_seq) return;
    if (late) record.entries = record.entries.slice(0, data.last_seq);
    for (let seq = record.entries.length + 1; seq <= data.last_seq; seq += 1) {
      record.entries.push({ event: 'transcription_gap', data: { seq, reason: 'not_durable' }, end: data.last_end });
    }
    record.head = data.last_seq;
    record.lastEnd = data.last_end;
    record.watermark = {
      offset: Math.max(data.last_end, data.acked),
      chunk: data.oldest_chunk - 1,
      chunkEnd: data.oldest_offset,
    };
    record.live = undefined;
  }

  #stopped(record: SessionRecord, live: Live, reason: string): void {
    record.stopped = {
      status: 'stopped',
      message: 'Transcription stopped',
      session_id: record.id,
      reason,
      last_seq: record.head,
      durable: live.uncommitted === 0,
      audio_ms: Math.floor(live.position / 16),
      finals: record.entries.length,
    };
  }

  #stop(socket: Socket, data: StopMessage): void {
    const record = this.#recordOf(socket);
    const live = record?.live;
    if (record === undefined || live === undefined) {
      this.#error(socket, { code: 'no_session' });
      return;
    }
    if (this.#options.withoutResume !== true && (data?.last_chunk ?? 0) >= live.nextChunk) {
      this.#error(socket, { code: 'chunk_gap', retryable: true, expected: live.nextChunk });
      return;
    }
    this.#final(record, live);
    if (record.live !== live) return;
    this.#stopped(record, live, 'client_stop');
    if (this.#strikes('stop', live.socket) !== undefined) return;
    live.socket?.emit('transcription_stopped', record.stopped);
    live.socket = undefined;
  }
}

/** The owner of a record that has no audio: it takes what comes after the watermark. */
function newLive(record: SessionRecord, socket: Socket | undefined, client?: ResumeMessage): Live {
  const { watermark } = record;
  // Where only the client knows its chunks, it begins with the oldest that it holds.
  const unknown = watermark.chunk === 0 && watermark.offset > 0 && client !== undefined;
  return {
    socket,
    position: unknown ? client.oldest_offset : watermark.chunkEnd,
    nextChunk: unknown ? client.oldest_chunk : watermark.chunk + 1,
    scanner: new BlockScanner(),
    base: watermark.offset,
    heard: watermark.offset,
    utterance: [],
    chunkEnds: [],
    gapReported: false,
    uncommitted: 0,
  };
}

function watermarkAt(live: Live, offset: number, before: SessionRecord['watermark']): SessionRecord['watermark'] {
  live.chunkEnds = live.chunkEnds.filter(
    (chunk, index, all) => chunk.end > offset || (all[index + 1]?.end ?? Infinity) > offset,
  );
  const last = live.chunkEnds.find((chunk) => chunk.end <= offset);
  const reached = last === undefined ? before : { chunk: last.seq, chunkEnd: last.end };
  return { offset: Math.max(offset, before.offset), chunk: reached.chunk, chunkEnd: reached.chunkEnd };
}

function resultOf(utterance: Live['utterance']): Record<string, unknown> {
  const start = utterance[0]?.start ?? 0;
  const end = utterance.at(-1)?.end ?? 0;
  return {
    text: utterance.map((block) => `b${block.number}`).join(' '),
    result_id: `${start}`,
    start_sample: start,
    end_sample: end,
    start_ms: start / 16,
    end_ms: end / 16,
  };
}
