import { randomUUID } from 'node:crypto';
import {
  constants,
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { Logger } from '../log.ts';
import { ChunkVerifier } from './chunk-signature.ts';
import type { Fault, FaultPlan } from './faults.ts';
import type { EmulatorOptions, ResolvedOptions } from './options.ts';
import { echoHeaders, HEADER_PREFIX, parseParameters, type StreamParameters } from './parameters.ts';
import { Quotas } from './quotas.ts';
import type { Random } from './random.ts';
import type { Recogniser } from './recognisers/recogniser.ts';
import { Refusal } from './refusal.ts';
import { resetStream } from './reset.ts';
import { ResponseWriter } from './response-writer.ts';
import { exceptionFrame } from './server-frames.ts';
import { type SigningContext, verifyRequest } from './signature.ts';
import { TranscriptionStream } from './stream.ts';
import { PendingFaults } from './stream-faults.ts';
import type { StreamRecord, Usage } from './usage.ts';

const PATH = '/stream-transcription';
/** A connection on which nothing comes is cut after so long, in milliseconds, once no stream can be waiting on it. */
const IDLE_CONNECTION_MS = 60_000;
/** What an injected HTTP error is called, by its status; others have no name. */
const ERROR_TYPES: Readonly<Record<number, string>> = {
  400: 'BadRequestException',
  429: 'LimitExceededException',
  500: 'InternalFailureException',
  503: 'ServiceUnavailableException',
};

export interface ServerParts {
  readonly recogniser: Recogniser;
  readonly plan: FaultPlan;
  readonly usage: Usage;
  readonly options: ResolvedOptions;
  readonly random: Random;
  readonly log: Logger;
}

/** What one request has been found to be, on its way to a stream. */
interface Admitted {
  readonly http2: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  readonly signer: SigningContext;
  readonly parameters: StreamParameters;
  readonly faults: readonly Fault[];
  readonly requestId: string;
}

/** The HTTP/2 front: takes requests, refuses those that AWS would, and opens a stream for the others. */
export class EmulatorServer {
  readonly #parts: ServerParts;
  readonly #quotas: Quotas;
  /** TCP connections, those too that never came to speak HTTP/2 and would keep the server from closing. */
  readonly #sockets = new Set<Socket>();
  readonly #usedSessions = new WeakSet<Http2Session>();
  readonly #streams = new Set<TranscriptionStream>();
  /** Open streams by session id; of several with one id the newest. */
  readonly #bySessionId = new Map<string, TranscriptionStream>();
  #server: Http2Server | Http2SecureServer | undefined;

  constructor(parts: ServerParts) {
    this.#parts = parts;
    const { concurrentStreams, startsPerSecond } = parts.options.limits;
    this.#quotas = new Quotas(concurrentStreams, startsPerSecond);
  }

  /** @returns the port */
  async listen(host: string, port: number, tls: EmulatorOptions['tls']): Promise<number> {
    const server = tls === undefined ? createServer() : createSecureServer({ ...tls, allowHTTP1: false });
    this.#server = server;
    server.maxConnections = this.#parts.options.limits.connections;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      const idle = this.#cutWhenIdle(socket);
      socket.once('close', () => {
        clearInterval(idle);
        this.#sockets.delete(socket);
      });
    });
    server.on('stream', (stream, headers) => this.#onStream(stream, headers));
    server.on('sessionError', (error) => this.#parts.log.debug({ err: error }, 'emulator connection broke'));
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
    });
  }

  /** Carries out a fault on every open stream. */
  inject(fault: Fault): void {
    for (const stream of [...this.#streams]) stream.inject(fault);
  }

  async close(): Promise<void> {
    for (const stream of [...this.#streams]) stream.shutdown();
    await new Promise<void>((resolve) => {
      if (this.#server === undefined) resolve();
      else this.#server.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
    });
  }

  /** By a timer of our own: that of an HTTP/2 session holds it in memory until it fires, though the session is closed. */
  #cutWhenIdle(socket: Socket): NodeJS.Timeout {
    let seen = 0;
    return setInterval(() => {
      if (socket.bytesRead === seen) socket.destroy();
      seen = socket.bytesRead;
    }, IDLE_CONNECTION_MS + this.#parts.options.limits.silenceMs);
  }

  #onStream(http2: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    http2.on('error', (error) => this.#parts.log.debug({ err: error }, 'emulator stream broke'));
    const { session } = http2;
    if (session === undefined) return;
    if (this.#usedSessions.has(session)) {
      // Documented: one stream per HTTP/2 session. Loud, so that a client that shares sessions is found out.
      this.#parts.usage.refused('SecondStreamOnSession');
      this.#parts.log.warn('emulator refused a second stream on one connection');
      resetStream(http2, constants.NGHTTP2_REFUSED_STREAM);
      return;
    }
    this.#usedSessions.add(session);
    const requestId = randomUUID();
    try {
      this.#admit(http2, headers, requestId);
    } catch (error) {
      const refusal =
        error instanceof Refusal ? error : new Refusal('InternalFailureException', 'An unexpected fault.');
      if (refusal !== error) this.#parts.log.error({ err: error, request_id: requestId }, 'emulator request failed');
      this.#parts.usage.refused(refusal.exception);
      this.#answerError(http2, requestId, refusal.status, refusal.exception, refusal.message, 0);
    }
  }

  /** @throws Refusal */
  #admit(http2: ServerHttp2Stream, headers: IncomingHttpHeaders, requestId: string): void {
    if (headers[':method'] !== 'POST' || headers[':path'] !== PATH) {
      throw new Refusal('UnknownOperationException', 'The requested operation is not known.');
    }
    const { options, plan, recogniser, usage } = this.#parts;
    const signer = verifyRequest(headers, options.credentials, Date.now());
    const parameters = parseParameters(headers, options.account);
    recogniser.check(parameters);

    const faults = plan.draw();
    const skewMs = faults.find((fault) => fault.kind === 'clock_skew')?.skewMs ?? 0;
    for (const fault of faults) {
      if (fault.kind === 'http_error') {
        usage.fault(fault.kind);
        const type = fault.errorType ?? ERROR_TYPES[fault.status];
        this.#answerError(http2, requestId, fault.status, type, 'A fault was injected by the emulator.', skewMs);
        return;
      }
      if (fault.kind === 'reset_before_headers') {
        usage.fault(fault.kind);
        resetStream(http2, fault.code);
        return;
      }
    }
    this.#open({ http2, headers, signer, parameters, faults, requestId }, skewMs);
  }

  #open(admitted: Admitted, skewMs: number): void {
    const { http2, headers, signer, parameters, requestId } = admitted;
    const { options, usage } = this.#parts;
    const account = `${signer.credentials.accessKeyId}/${signer.region}`;
    const sessionId = parameters['session-id'] ?? randomUUID();
    const responseHeaders = {
      ':status': 200,
      'content-type': 'application/vnd.amazon.eventstream',
      ...echoHeaders(headers, parameters),
      [`${HEADER_PREFIX}session-id`]: sessionId,
      'x-amzn-request-id': requestId,
      date: dateHeader(skewMs),
    };
    let release: () => void;
    try {
      release = this.#quotas.take(account, performance.now());
      this.#resolveConflict(sessionId, release);
    } catch (error) {
      if (!(error instanceof Refusal) || options.quotaRefusal === 'http') throw error;
      usage.refused(error.exception);
      http2.respond(responseHeaders);
      const writer = new ResponseWriter(http2, options.limits.lingerMs);
      writer.write(exceptionFrame(error));
      writer.end();
      return;
    }
    http2.respond(responseHeaders);
    this.#start(admitted, sessionId, release);
  }

  /**
   * A session id in use: the older stream is told and ended; by configuration the newer is refused as well.
   * @throws Refusal
   */
  #resolveConflict(sessionId: string, release: () => void): void {
    const older = this.#bySessionId.get(sessionId);
    if (older === undefined) return;
    const message = 'A new stream started with the same session ID. The current stream has been terminated.';
    older.kill(new Refusal('ConflictException', message));
    if (this.#parts.options.sessionConflict === 'older') return;
    release();
    throw new Refusal('ConflictException', message);
  }

  #start({ http2, signer, parameters, faults, requestId }: Admitted, sessionId: string, release: () => void): void {
    const { options, usage, recogniser, random, log } = this.#parts;
    const record: StreamRecord = {
      requestId,
      sessionId,
      accessKeyId: signer.credentials.accessKeyId,
      region: signer.region,
      startedAt: Date.now(),
      audioSeconds: 0,
      audioEvents: 0,
      partials: 0,
      finals: 0,
      recogniser: {},
      faults: [],
    };
    const stream: TranscriptionStream = new TranscriptionStream({
      http2,
      parameters,
      verifier: new ChunkVerifier(signer, options.limits.chunkSkewMs),
      recogniser,
      faults: new PendingFaults(faults, random),
      record,
      options,
      usage,
      log,
      release: () => {
        release();
        this.#streams.delete(stream);
        if (this.#bySessionId.get(sessionId) === stream) this.#bySessionId.delete(sessionId);
      },
    });
    this.#streams.add(stream);
    this.#bySessionId.set(sessionId, stream);
    usage.opened(record);
    stream.start();
  }

  #answerError(
    http2: ServerHttp2Stream,
    requestId: string,
    status: number,
    type: string | undefined,
    message: string,
    skewMs: number,
  ): void {
    http2.respond({
      ':status': status,
      'content-type': 'application/json',
      'x-amzn-request-id': requestId,
      date: dateHeader(skewMs),
      ...(type !== undefined && { 'x-amzn-errortype': type }),
    });
    const writer = new ResponseWriter(http2, this.#parts.options.limits.lingerMs);
    writer.write(Buffer.from(JSON.stringify({ Message: message })));
    writer.end();
  }
}

/** @param skewMs how far the clock shown is ahead of ours, in milliseconds */
function dateHeader(skewMs: number): string {
  return new Date(Date.now() + skewMs).toUTCString();
}
