/**
 * Entry of a recogniser process: one model, many streams. It is forked by `recogniser-process.ts`, talks over IPC only,
 * and lives exactly as long as its parent's channel.
 */
import { measureCpuPerAudioSecond } from './calibration.ts';
import { CallGate } from './call-gate.ts';
import type { FromRecogniser, ToRecogniser } from './messages.ts';
import { createPrivateModel, removePrivateModel } from './private-model.ts';
import { StreamDecoder } from './stream-decoder.ts';
import { VoskLibrary, type VoskModel } from './vosk.ts';

type Load = Extract<ToRecogniser, { type: 'load' }>;

interface Loaded {
  readonly model: VoskModel;
  readonly gate: CallGate;
  readonly sampleRate: number;
}

let loaded: Loaded | undefined;
const decoders = new Map<number, StreamDecoder>();

// Ctrl-C in a terminal reaches the whole process group. The parent decides: it drains its sessions first.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
// The parent is gone. Nothing is left to save, and an orderly exit would run the library's destructors under the feet of
// native calls that still decode.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.on('message', (message) => receive(message as ToRecogniser));

function receive(message: ToRecogniser): void {
  switch (message.type) {
    case 'load':
      void load(message);
      break;
    case 'open':
      open(message.stream);
      break;
    case 'audio':
      decoders.get(message.stream)?.accept(message.audio);
      break;
    case 'end':
      decoders.get(message.stream)?.end();
      break;
    case 'abort':
      decoders.get(message.stream)?.abort();
      decoders.delete(message.stream);
      break;
    default:
      message satisfies never;
  }
}

async function load(message: Load): Promise<void> {
  try {
    const model = await loadModel(message);
    const gate = new CallGate(message.threads);
    const audio = message.calibrationAudio;
    const cpuPerAudioSecond =
      audio && (await measureCpuPerAudioSecond(model, message.sampleRate, gate, message.threads, audio));
    loaded = { model, gate, sampleRate: message.sampleRate };
    send({ type: 'ready', cpuPerAudioSecond });
  } catch (error) {
    send({ type: 'loadFailed', reason: error instanceof Error ? error.message : String(error) });
  }
}

async function loadModel(message: Load): Promise<VoskModel> {
  const library = await VoskLibrary.load(message.libraryPath);
  if (message.privateDirectory === undefined) return library.loadModel(message.modelPath);
  // From here to the removal nothing yields, so that a parent's death cannot come between and leave the directory.
  try {
    createPrivateModel(message.modelPath, message.privateDirectory);
    return library.loadModel(message.privateDirectory);
  } finally {
    // The model is in memory now. Removed at once, so that not even kill -9 later leaves anything behind.
    removePrivateModel(message.privateDirectory);
  }
}

function open(stream: number): void {
  if (loaded === undefined) throw new Error('a stream was opened before the model was loaded');
  const decoder = new StreamDecoder(loaded.model, loaded.sampleRate, loaded.gate, (report) => {
    if (report.type === 'ended' || report.type === 'failed') decoders.delete(stream);
    send({ type: 'stream', stream, report });
  });
  decoders.set(stream, decoder);
  void decoder.open();
}

function send(message: FromRecogniser): void {
  // A failed send means that the channel is closed: 'disconnect' follows and ends this process.
  process.send?.(message, undefined, {}, () => {});
}
