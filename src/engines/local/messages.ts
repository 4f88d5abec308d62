import type { EngineResult } from '../engine.ts';

/** What the gateway tells a recogniser process. `load` comes first and once. Streams are numbered by the gateway. */
export type ToRecogniser =
  | {
      readonly type: 'load';
      readonly libraryPath: string;
      readonly modelPath: string;
      /** Load the model through a private directory made here; without it the model is used as it is. */
      readonly privateDirectory: string | undefined;
      /** Hertz. */
      readonly sampleRate: number;
      /** Native calls that run at once. */
      readonly threads: number;
      /** Speech, PCM 16 bit, to measure the cost of decoding on; without it nothing is measured. */
      readonly calibrationAudio: Buffer | undefined;
    }
  | { readonly type: 'open'; readonly stream: number }
  | { readonly type: 'audio'; readonly stream: number; readonly audio: Buffer }
  | { readonly type: 'end'; readonly stream: number }
  | { readonly type: 'abort'; readonly stream: number };

/**
 * What a stream in a recogniser process reports. `ended`, `failed` and `dropped` are the last of a stream. Every `open`
 * is answered, once and in order, by the first report of its stream: `opened`, `failed` or `dropped`.
 */
export type StreamReport =
  /** Ready for audio. */
  | { readonly type: 'opened' }
  | { readonly type: 'result'; readonly result: EngineResult }
  /** The stream's first `samples` samples are decoded; the results they gave were sent before. */
  | { readonly type: 'processed'; readonly samples: number }
  | { readonly type: 'ended' }
  | { readonly type: 'failed' }
  /** Aborted before it was opened; from now on it costs the process nothing. */
  | { readonly type: 'dropped' };

/** What a recogniser process tells the gateway. */
export type FromRecogniser =
  | {
      readonly type: 'ready';
      /** Seconds of processor time that a second of speech costs, if it was measured. */
      readonly cpuPerAudioSecond: number | undefined;
    }
  | { readonly type: 'loadFailed'; readonly reason: string }
  | { readonly type: 'stream'; readonly stream: number; readonly report: StreamReport };
