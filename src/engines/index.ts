import type { Config } from '../config/schema.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '../protocol/audio.ts';
import { readSpeechSample } from '../speech-sample.ts';
import type { Engine } from './engine.ts';
import { LocalEngine } from './local/local-engine.ts';
import { repeatingScript, ScriptedEngine } from './scripted/scripted-engine.ts';

/** Five seconds: two of the three utterances, long enough to measure and short enough for a quick start. */
const CALIBRATION_BYTES = 5 * SAMPLE_RATE * BYTES_PER_SAMPLE;

/**
 * Starts the engine that the configuration names.
 * @throws GatewayError with a message for the operator when it cannot be started
 */
export async function startEngine(config: Config, log: Logger, metrics: Metrics): Promise<Engine> {
  switch (config.engine) {
    case 'local':
      return startLocal(config, log, metrics);
    case 'scripted':
      return new ScriptedEngine({ script: () => ({ steps: repeatingScript() }) });
  }
}

async function startLocal(config: Config, log: Logger, metrics: Metrics): Promise<Engine> {
  return LocalEngine.start({
    modelPath: config.localModel,
    libraryPath: config.localLibrary,
    languageCode: config.localLanguage,
    processes: config.localProcesses,
    sessionsPerProcess: config.localSessionsPerProcess,
    // The sample is English: for another model its speech is merely noise, which costs no less to decode.
    calibrationAudio: (await readSpeechSample()).subarray(0, CALIBRATION_BYTES),
    log,
    observer: {
      poolChanged: (pool) => {
        metrics.localRecognisers.set(pool.liveProcesses);
        metrics.localCapacitySessions.set(pool.capacity);
      },
      recogniserExited: () => metrics.localRecogniserExitsTotal.inc(),
      audioProcessed: (lagMs) => metrics.localLagSeconds.observe(lagMs / 1000),
    },
  });
}
