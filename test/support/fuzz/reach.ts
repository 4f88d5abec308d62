/** How far what is sent comes in the gateway of this process: calls of the handlers, counted by V8, and their answers. */
import { Session } from 'node:inspector/promises';
import type { ClientEvent } from '../../../src/protocol/events.ts';

/** Where the handlers are, one for each event. */
const HANDLERS_IN = '/src/socket/connection.ts';
const HANDLERS: Readonly<Record<ClientEvent, string>> = {
  start_transcription: '#start',
  audio_chunk: '#audio',
  stop_transcription: '#stop',
  resume_transcription: '#resume',
  pause_transcription: '#pause',
  unpause_transcription: '#unpause',
  watch_transcription: '#watch',
  unwatch_transcription: '#unwatch',
  refresh_token: '#refreshToken',
};

/** What became of the events of one name. */
export interface EventReach {
  /** Calls of its handler, whatever brought it there. */
  readonly handled: number;
  /** Answers to generated events of version 2, which say how each ended. */
  readonly accepted: number;
  readonly refused: number;
}

export class Reach {
  readonly #session = new Session();
  readonly #answers = new Map<ClientEvent, { accepted: number; refused: number }>();

  /** Counts from now on. */
  static async begin(): Promise<Reach> {
    const reach = new Reach();
    reach.#session.connect();
    await reach.#session.post('Profiler.enable');
    await reach.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
    return reach;
  }

  answered(event: ClientEvent, isAccepted: boolean): void {
    const counts = this.#answers.get(event) ?? { accepted: 0, refused: 0 };
    this.#answers.set(event, counts);
    if (isAccepted) counts.accepted += 1;
    else counts.refused += 1;
  }

  /** Call it once. */
  async end(): Promise<Map<ClientEvent, EventReach>> {
    const { result } = await this.#session.post('Profiler.takePreciseCoverage');
    await this.#session.post('Profiler.stopPreciseCoverage');
    this.#session.disconnect();
    const functions = result.filter(({ url }) => url.endsWith(HANDLERS_IN)).flatMap((script) => script.functions);
    const reach = new Map<ClientEvent, EventReach>();
    for (const [event, handler] of Object.entries(HANDLERS) as [ClientEvent, string][]) {
      const handled = functions
        .filter(({ functionName }) => functionName === handler)
        .reduce((sum, { ranges }) => sum + (ranges[0]?.count ?? 0), 0);
      reach.set(event, { handled, ...(this.#answers.get(event) ?? { accepted: 0, refused: 0 }) });
    }
    return reach;
  }
}
