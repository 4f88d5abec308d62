import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Logger } from '../log.ts';
import { AudioMeter, splitChannels } from './audio-meter.ts';
import type { ChunkVerifier } from './chunk-signature.ts';
import { decodeMessage, FrameError, stringHeader } from './event-stream.ts';
import type { Fault } from './faults.ts';
import { FrameReader } from './frame-reader.ts';
import type { ResolvedOptions } from './options.ts';
import { channelCount, type StreamParameters } from './parameters.ts';
import type { HearingSink, Recogniser, RecogniserStream } from './recognisers/recogniser.ts';
import { badRequest, Refusal } from './refusal.ts';
import { resetStream } from './reset.ts';
import { ResponseWriter } from './response-writer.ts';
import { exceptionFrame, transcriptFrame } from './server-frames.ts';
import { type FaultTarget, type PendingFaults, strike } from './stream-faults.ts';
import { TranscriptMaker, type TranscriptResult } from './transcript.ts';
import type { StreamOutcome, StreamRecord, Usage } from './usage.ts';

/**
 * Longest message taken, in bytes: a second of 48 kHz in two channels is 192,000, and a message somewhat longer must
 * still be read to be refused by its audio rather than by its frame.
 */
const MAX_MESSAGE_BYTES = 1024 * 1024;
/** Faults that a stream's record names; more are only counted. */
const MAX_RECORDED_FAULTS = 100;

export interface StreamParts {
  readonly http2: ServerHttp2Stream;
  readonly parameters: StreamParameters;
  readonly verifier: ChunkVerifier;
  readonly recogniser: Recogniser;
  readonly faults: PendingFaults;
  readonly record: StreamRecord;
  readonly options: ResolvedOptions;
  readonly usage: Usage;
  readonly log: Logger;
  /** Gives the stream's place in the quota back. */
  readonly release: () => void;
}

/**
 * One transcription. States: `hearing` while audio comes; `finishing` from the end of the audio until all was said;
 * `closed` once the response has ended or the client has gone. It only moves forward, by `#finishing` and `#close`.
 */
export class TranscriptionStream implements FaultTarget {
  readonly #parts: StreamParts;
  readonly #writer: ResponseWriter;
  readonly #meter: AudioMeter;
  readonly #frames = new FrameReader(MAX_MESSAGE_BYTES);
  #state: 'hearing' | 'finishing' | 'closed' = 'hearing';
  #channels: RecogniserStream[] = [];
  #channelsDone = 0;
  #silenceTimer: NodeJS.Timeout | undefined;
  #ageTimer: NodeJS.Timeout | undefined;
  #readTimer: NodeJS.Timeout | undefined;
  /** Reasons for which nothing is read at present. */
  #pauses = 0;
  #bytesPerSecond: number | undefined;
  #muted = false;
  #spoil: 'truncate' | 'corrupt' | undefined;

  constructor(parts: StreamParts) {
    this.#parts = parts;
    this.#writer = new ResponseWriter(parts.http2, parts.options.limits.lingerMs);
    this.#meter = new AudioMeter(parts.parameters);
  }

  /** Begins to read; the response headers are sent already. */
  start(): void {
    const { http2, parameters, recogniser, options } = this.#parts;
    const request = {
      sampleRate: parameters['sample-rate'],
      languageCode: parameters['language-code'] ?? parameters['language-options']?.[0] ?? '',
    };
    for (let channel = 0; channel < channelCount(parameters); channel += 1) {
      this.#channels.push(
        recogniser.open(request, this.#sink(new TranscriptMaker(parameters, options.account, channel))),
      );
    }
    const { silenceMs, maxAgeMs } = options.limits;
    this.#silenceTimer = setTimeout(() => {
      // The words of AWS, from users' reports: amazon-transcribe-streaming-sdk, issue 118.
      const seconds = Math.round(silenceMs / 1000);
      this.refuse(badRequest(`Your request timed out because no new audio was received for ${seconds} seconds.`));
    }, silenceMs);
    this.#ageTimer = setTimeout(() => {
      const message = 'Your audio stream exceeds the limit. Break it into smaller streams and try your request again.';
      this.kill(new Refusal('LimitExceededException', message));
    }, maxAgeMs);
    http2.on('data', (chunk: Buffer) => this.#data(chunk));
    http2.once('end', () => this.#clientEnded());
    http2.once('close', () => this.#close('client_gone'));
    this.#strikeDue();
  }

  /** Carries out a fault now. */
  inject(fault: Fault): void {
    if (this.#state === 'closed') return;
    if (this.#parts.record.faults.length < MAX_RECORDED_FAULTS) this.#parts.record.faults.push(fault.kind);
    this.#parts.usage.fault(fault.kind);
    this.#parts.log.info({ kind: fault.kind, request_id: this.#parts.record.requestId }, 'emulator fault injected');
    strike(fault, this);
  }

  refuse(refusal: Refusal): void {
    if (this.#state === 'closed' || this.#muted) return;
    this.#parts.record.exception = refusal.exception;
    this.#writer.write(exceptionFrame(refusal));
    this.#end('refused');
  }

  /** Refuses; and if the stream is muted, and says nothing, resets it. */
  kill(refusal: Refusal): void {
    this.refuse(refusal);
    this.reset(constants.NGHTTP2_CANCEL);
  }

  reset(code: number): void {
    if (this.#state === 'closed') return;
    this.#close('fault');
    resetStream(this.#parts.http2, code);
  }

  disconnect(): void {
    this.#close('fault');
    this.#parts.http2.session?.destroy();
  }

  mute(): void {
    this.#muted = true;
  }

  endEarly(): void {
    this.#end('fault');
  }

  goaway(code: number): void {
    this.#parts.http2.session?.goaway(code);
  }

  slowDown(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
    if (bytesPerSecond === 0) this.#pause();
  }

  hold(delayMs: number): void {
    this.#writer.hold(delayMs);
  }

  spoilNext(how: 'truncate' | 'corrupt'): void {
    this.#spoil = how;
  }

  /** The emulator closes. */
  shutdown(): void {
    this.#close('shutdown');
    resetStream(this.#parts.http2, constants.NGHTTP2_CANCEL);
  }

  #data(chunk: Buffer): void {
    if (this.#state !== 'hearing') return;
    const busy: Promise<void>[] = [];
    try {
      for (const message of this.#frames.push(chunk)) {
        const inner = this.#parts.verifier.open(message, Date.now());
        if (inner.length === 0) this.#finishing();
        else busy.push(...this.#event(inner));
        // A fault, a refusal or the end: what follows in this chunk is not ours any more.
        if (this.#state !== 'hearing') return;
      }
    } catch (error) {
      this.#broken(error);
      return;
    }
    if (busy.length > 0) this.#pauseUntil(Promise.all(busy));
    if (this.#bytesPerSecond) {
      this.#pause();
      this.#readTimer = setTimeout(() => this.#resume(), (chunk.length * 1000) / this.#bytesPerSecond);
    }
  }

  /** @returns the waits of recognisers that are busy */
  #event(inner: Buffer): Promise<void>[] {
    const { headers, body } = decodeMessage(inner);
    if (stringHeader(headers, ':message-type') !== 'event' || stringHeader(headers, ':event-type') !== 'AudioEvent') {
      throw badRequest('The stream takes only messages of type event and event type AudioEvent.');
    }
    // An audio event without audio ends the stream too: clients other than the official one end it so.
    if (body.length === 0) {
      this.#finishing();
      return [];
    }
    return this.#audio(body);
  }

  #audio(body: Buffer): Promise<void>[] {
    const { record } = this.#parts;
    this.#silenceTimer?.refresh();
    const { audio, samples } = this.#meter.add(body, performance.now());
    record.audioSeconds = this.#meter.seconds;
    record.audioEvents += 1;
    if (record.audioEvents === 1) this.#send([]);
    const split = splitChannels(audio, this.#channels.length);
    const busy = this.#channels.map((stream, channel) => stream.write(split[channel] ?? Buffer.alloc(0), samples));
    this.#strikeDue();
    return busy.filter((wait) => wait !== undefined);
  }

  #finishing(): void {
    if (this.#state !== 'hearing') return;
    this.#state = 'finishing';
    clearTimeout(this.#silenceTimer);
    for (const stream of this.#channels) stream.end();
  }

  #clientEnded(): void {
    // Node ends the readable side of a stream that the client has reset, too: `closed` tells that from END_STREAM.
    if (this.#state !== 'hearing' || this.#parts.http2.closed) return;
    // The words of AWS, from users' reports: amazon-transcribe-streaming-sdk, issue 21.
    this.refuse(badRequest('A complete signal was sent without the preceding empty frame.'));
  }

  #broken(error: unknown): void {
    if (error instanceof Refusal) this.refuse(error);
    else if (error instanceof FrameError) this.refuse(badRequest(error.message));
    else {
      this.#parts.log.error({ err: error, request_id: this.#parts.record.requestId }, 'emulator stream failed');
      this.refuse(new Refusal('InternalFailureException', 'A problem occurred while processing the audio.'));
    }
  }

  #sink(maker: TranscriptMaker): HearingSink {
    return {
      heard: (result) => {
        if (this.#state === 'closed' || this.#muted) return;
        this.#parts.record[result.isPartial ? 'partials' : 'finals'] += 1;
        this.#send([maker.make(result)]);
      },
      done: () => {
        this.#channelsDone += 1;
        if (this.#channelsDone === this.#channels.length) this.#end('completed');
      },
      failed: (error) => this.#broken(error),
    };
  }

  #send(results: readonly TranscriptResult[]): void {
    if (this.#muted || this.#state === 'closed') return;
    const frame = transcriptFrame(results);
    const spoil = results.length > 0 ? this.#spoil : undefined;
    if (spoil === 'corrupt') frame.writeUInt8(frame.readUInt8(frame.length - 1) ^ 0xff, frame.length - 1);
    const bytes = spoil === 'truncate' ? frame.subarray(0, frame.length / 2) : frame;
    if (spoil !== undefined) this.#spoil = undefined;
    if (!this.#writer.write(bytes)) {
      this.#close('client_slow');
      resetStream(this.#parts.http2, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    } else if (spoil === 'truncate') this.#end('fault');
  }

  #end(outcome: StreamOutcome): void {
    // A muted stream says not even its end: the client must notice by itself.
    if (this.#muted || this.#state === 'closed') return;
    this.#close(outcome);
    this.#writer.end();
  }

  #strikeDue(): void {
    for (const fault of this.#parts.faults.take(this.#meter.seconds * 1000)) this.inject(fault);
  }

  #pause(): void {
    this.#pauses += 1;
    this.#parts.http2.pause();
  }

  #resume(): void {
    this.#pauses -= 1;
    if (this.#pauses === 0) this.#parts.http2.resume();
  }

  #pauseUntil(ready: Promise<unknown>): void {
    this.#pause();
    void ready.then(() => this.#resume());
  }

  #close(outcome: StreamOutcome): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    const { record, usage, release, log } = this.#parts;
    for (const timer of [this.#silenceTimer, this.#ageTimer, this.#readTimer]) clearTimeout(timer);
    for (const stream of this.#channels) {
      for (const [name, count] of Object.entries(stream.stats())) {
        record.recogniser[name] = (record.recogniser[name] ?? 0) + count;
      }
      stream.abort();
    }
    record.outcome = outcome;
    usage.closed(record);
    release();
    log.info({ request_id: record.requestId, outcome, exception: record.exception }, 'emulator stream closed');
  }
}
