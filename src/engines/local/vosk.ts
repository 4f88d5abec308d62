import { CallGate } from './call-gate.ts';

/**
 * libvosk over koffi: the functions that we call, typed, and nothing else. Used inside recogniser processes only,
 * because a fault in native code ends the process it happens in.
 */

type NativeFunction<Args extends unknown[], Value> = ((...args: Args) => Value) & {
  async: (...args: [...Args, (error: Error | null, value: Value) => void]) => void;
};

/** An address. koffi does not promise what represents it. */
type Pointer = object | bigint | null;

interface Functions {
  readonly newModel: NativeFunction<[string], Pointer>;
  readonly newRecogniser: NativeFunction<[Pointer, number], Pointer>;
  readonly setWords: NativeFunction<[Pointer, number], void>;
  readonly acceptWaveform: NativeFunction<[Pointer, Buffer, number], number>;
  readonly result: NativeFunction<[Pointer], string>;
  readonly partialResult: NativeFunction<[Pointer], string>;
  readonly finalResult: NativeFunction<[Pointer], string>;
  readonly free: NativeFunction<[Pointer], void>;
}

/** Reply of a finished utterance. Times are seconds since the recogniser's first sample. */
export interface VoskUtterance {
  readonly text: string;
  readonly result?: readonly {
    readonly word: string;
    readonly start: number;
    readonly end: number;
    readonly conf: number;
  }[];
}

/** The native library. */
export class VoskLibrary {
  readonly #functions: Functions;

  private constructor(functions: Functions) {
    this.#functions = functions;
  }

  /** @throws Error when koffi or the library cannot be loaded */
  static async load(path: string): Promise<VoskLibrary> {
    const { default: koffi } = await import('koffi');
    const library = koffi.load(path);
    library.func('void vosk_set_log_level(int)')(-1);
    return new VoskLibrary({
      newModel: library.func('void* vosk_model_new(const char*)'),
      newRecogniser: library.func('void* vosk_recognizer_new(void*, float)'),
      setWords: library.func('void vosk_recognizer_set_words(void*, int)'),
      acceptWaveform: library.func('int vosk_recognizer_accept_waveform(void*, const uint8_t*, int)'),
      result: library.func('const char* vosk_recognizer_result(void*)'),
      partialResult: library.func('const char* vosk_recognizer_partial_result(void*)'),
      finalResult: library.func('const char* vosk_recognizer_final_result(void*)'),
      free: library.func('void vosk_recognizer_free(void*)'),
    });
  }

  /**
   * Loads the model in the directory `path`. Blocks the thread for 0.3 to 0.7 s.
   * @throws Error when libvosk does not take it
   */
  loadModel(path: string): VoskModel {
    const model = this.#functions.newModel(path);
    if (!model) throw new Error('libvosk could not load the model');
    return new VoskModel(this.#functions, model);
  }
}

/** A model in memory, shared by the recognisers of all streams. Lives as long as its process. */
export class VoskModel {
  readonly #functions: Functions;
  readonly #model: Pointer;
  /** libvosk counts the users of a model in a plain integer: only one recogniser at a time may be made or freed. */
  readonly #counting = new CallGate(1);

  constructor(functions: Functions, model: Pointer) {
    this.#functions = functions;
    this.#model = model;
  }

  /**
   * A recogniser of one stream at `sampleRate` hertz. Owned by the caller, who frees it. Takes 70 ms of processor time
   * (libvosk derives matrices from the model each time) on a thread of libuv's pool. Undefined, at no cost, when
   * `isUnwanted` says so once the turn has come: streams that were given up must not delay those that were not.
   */
  async open(sampleRate: number, isUnwanted: () => boolean): Promise<VoskRecogniser | undefined> {
    const recogniser = await this.#counting.run(async () =>
      isUnwanted()
        ? undefined
        : promised<Pointer>((done) => this.#functions.newRecogniser.async(this.#model, sampleRate, done)),
    );
    if (recogniser === undefined) return undefined;
    if (!recogniser) throw new Error('libvosk could not make a recogniser');
    this.#functions.setWords(recogniser, 1);
    return new VoskRecogniser(this.#functions, recogniser, this.#counting);
  }
}

/** Not safe for concurrent calls: the caller waits for each call before the next, and before `free`. */
export class VoskRecogniser {
  readonly #functions: Functions;
  readonly #recogniser: Pointer;
  readonly #counting: CallGate;
  /** Keeps the audio alive while native code reads it on another thread. */
  readonly #audioInUse = new Set<Buffer>();

  constructor(functions: Functions, recogniser: Pointer, counting: CallGate) {
    this.#functions = functions;
    this.#recogniser = recogniser;
    this.#counting = counting;
  }

  /** Decodes on a thread of libuv's pool; resolves to whether an utterance ended. */
  async accept(audio: Buffer): Promise<boolean> {
    this.#audioInUse.add(audio);
    const status = await promised<number>((done) =>
      this.#functions.acceptWaveform.async(this.#recogniser, audio, audio.length, done),
    );
    this.#audioInUse.delete(audio);
    if (status < 0) throw new Error('libvosk failed to decode');
    return status === 1;
  }

  /** Text of the utterance so far. Takes about 0.1 ms, so it runs on the calling thread. */
  partial(): string {
    const reply = JSON.parse(this.#functions.partialResult(this.#recogniser)) as { partial?: string };
    return reply.partial ?? '';
  }

  /** The utterance that just ended. Takes 10 to 40 ms, so it runs on a thread of libuv's pool. */
  async utterance(): Promise<VoskUtterance> {
    return JSON.parse(
      await promised<string>((done) => this.#functions.result.async(this.#recogniser, done)),
    ) as VoskUtterance;
  }

  /** Decodes what is buffered and ends the utterance. */
  async flush(): Promise<VoskUtterance> {
    return JSON.parse(
      await promised<string>((done) => this.#functions.finalResult.async(this.#recogniser, done)),
    ) as VoskUtterance;
  }

  /** Takes 0.2 ms, once no recogniser is being made. */
  free(): Promise<void> {
    return this.#counting.run(async () => this.#functions.free(this.#recogniser));
  }
}

function promised<Value>(call: (done: (error: Error | null, value: Value) => void) => void): Promise<Value> {
  return new Promise((resolve, reject) => {
    call((error, value) => (error === null ? resolve(value) : reject(error)));
  });
}
