import type { Engine, EngineResult, EngineStream } from '../../engines/engine.ts';
import { type GatewayError, toGatewayError } from '../../errors.ts';
import { badRequest, Refusal } from '../refusal.ts';
import type { Heard, HearingRequest, HearingSink, Recogniser, RecogniserStream } from './recogniser.ts';
import { spreadWords } from './words.ts';

function toRefusal(error: GatewayError): Refusal {
  switch (error.code) {
    case 'unsupported_language':
    case 'unsupported_encoding':
    case 'engine_rejected':
      return badRequest(error.message);
    case 'engine_unavailable':
    case 'overloaded':
      return new Refusal('ServiceUnavailableException', 'Service is currently unavailable. Try your request later.');
    default:
      return new Refusal('InternalFailureException', 'A problem occurred while processing the audio.');
  }
}

function toHeard(result: EngineResult): Heard {
  const { resultId, isPartial, startSample, endSample, text } = result;
  return {
    resultId,
    isPartial,
    startSample,
    endSample,
    words: result.items ?? spreadWords(text, startSample, endSample),
  };
}

class EngineBackedStream implements RecogniserStream {
  readonly #sink: HearingSink;
  readonly #abort = new AbortController();
  /** Undefined once opening has failed, which the sink has then been told. */
  readonly #opening: Promise<EngineStream | undefined>;
  /** The last write: an engine has one writer that waits, while one HTTP/2 frame may bring several events. */
  #writing: Promise<void>;

  constructor(engine: Engine, request: HearingRequest, sink: HearingSink) {
    this.#sink = sink;
    this.#opening = engine
      .open({ ...request, continuation: false, channels: 1 }, this.#abort.signal)
      .catch((error: unknown) => {
        this.#fail(error);
        return undefined;
      });
    this.#writing = this.#opening.then(() => undefined);
    void this.#listen();
  }

  write(audio: Buffer): Promise<void> {
    this.#writing = this.#writing
      .then(async () => (await this.#opening)?.write(audio))
      .catch((error: unknown) => this.#fail(error));
    return this.#writing;
  }

  end(): void {
    void this.#writing.then(async () => (await this.#opening)?.end());
  }

  abort(): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    void this.#opening.then((stream) => stream?.abort());
  }

  stats(): Readonly<Record<string, number>> {
    return {};
  }

  async #listen(): Promise<void> {
    const stream = await this.#opening;
    if (stream === undefined) return;
    try {
      for await (const result of stream.results) {
        // An empty final only tells that nothing was said; AWS says nothing then.
        if (result.text !== '' && !this.#abort.signal.aborted) this.#sink.heard(toHeard(result));
      }
      if (!this.#abort.signal.aborted) this.#sink.done();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#abort.signal.aborted) return;
    this.abort();
    this.#sink.failed(toRefusal(toGatewayError(error)));
  }
}

/** Real words from real speech, by whatever engine the caller gives. */
export function engineRecogniser(engine: Engine): Recogniser {
  const { languages, sampleRates } = engine.capabilities;
  return {
    check(parameters) {
      if (parameters['media-encoding'] !== 'pcm') throw badRequest('The engine behind the emulator hears only pcm.');
      if (!sampleRates.includes(parameters['sample-rate'])) {
        throw badRequest(`The engine behind the emulator hears only ${sampleRates.join(', ')} Hz.`);
      }
      const asked = parameters['language-code'];
      if (asked !== undefined && !languages.includes(asked)) {
        throw badRequest(`The engine behind the emulator knows only ${languages.join(', ')}.`);
      }
    },
    open: (request, sink) => new EngineBackedStream(engine, request, sink),
  };
}
