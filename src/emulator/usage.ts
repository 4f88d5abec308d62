import { Counter, Gauge, Registry } from 'prom-client';
import type { FaultKind } from './faults.ts';

/** Closed streams that are kept to be shown. */
const RECENT_STREAMS = 200;

/** Accounts billed by name; a client with a key may sign for any region, and those over it are billed together. */
const MAX_ACCOUNTS = 1000;

/** How a stream came to its end. */
export type StreamOutcome = 'completed' | 'refused' | 'client_gone' | 'client_slow' | 'fault' | 'shutdown';

/** What is known of one stream; also the form in which the admin API shows it. */
export interface StreamRecord {
  readonly requestId: string;
  readonly sessionId: string;
  readonly accessKeyId: string;
  readonly region: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** Audio that was sent and verified, in seconds. */
  audioSeconds: number;
  /** Audio events that were verified. */
  audioEvents: number;
  partials: number;
  finals: number;
  /** What the recogniser counted, such as samples that were no block. */
  readonly recogniser: Record<string, number>;
  readonly faults: FaultKind[];
  outcome?: StreamOutcome;
  /** The exception that ended it, if one did. */
  exception?: string;
}

interface Totals {
  streams: number;
  audioSeconds: number;
  billedSeconds: number;
}

export interface UsageReport extends Totals {
  readonly activeStreams: number;
  readonly outcomes: Readonly<Record<string, number>>;
  /** Requests refused before a stream was opened, by exception. */
  readonly refusals: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
  /** By access key and region, as AWS bills. */
  readonly accounts: Readonly<Record<string, Totals>>;
}

function bump(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1;
}

/**
 * Counts what AWS would count: streams, audio, and billed seconds (each second of audio begun, and a minimum a stream),
 * for the admin API and for Prometheus. Running streams are billed for what they have sent so far.
 */
export class Usage {
  readonly registry = new Registry();
  readonly #minimumBilledSeconds: number;
  readonly #active = new Set<StreamRecord>();
  #recent: StreamRecord[] = [];
  readonly #accounts: Record<string, Totals> = {};
  readonly #outcomes: Record<string, number> = {};
  readonly #refusals: Record<string, number> = {};
  readonly #faults: Record<string, number> = {};
  readonly #closedStreams = this.#counter('streams_closed_total', 'Streams that ended.', ['outcome']);
  readonly #refused = this.#counter('requests_refused_total', 'Requests refused before a stream.', ['exception']);
  readonly #faultsDone = this.#counter('faults_total', 'Faults carried out.', ['kind']);

  /** @param minimumBilledSeconds shortest billed time of a stream */
  constructor(minimumBilledSeconds: number) {
    this.#minimumBilledSeconds = minimumBilledSeconds;
    const active = this.#active;
    new Gauge({
      name: 'transcribe_emulator_streams_active',
      help: 'Streams that are open.',
      registers: [this.registry],
      collect() {
        this.set(active.size);
      },
    });
    this.#total('audio_seconds_total', 'Audio received.', () => this.report().audioSeconds);
    this.#total('billed_seconds_total', 'Seconds billed, running streams included.', () => this.report().billedSeconds);
  }

  opened(record: StreamRecord): void {
    this.#active.add(record);
  }

  /** Books a stream that has its outcome. */
  closed(record: StreamRecord): void {
    if (!this.#active.delete(record)) return;
    this.#recent = [...this.#recent.slice(1 - RECENT_STREAMS), record];
    const outcome = record.outcome ?? 'completed';
    bump(this.#outcomes, outcome);
    this.#closedStreams.inc({ outcome });
    this.#add(this.#accounts, record);
  }

  refused(exception: string): void {
    bump(this.#refusals, exception);
    this.#refused.inc({ exception });
  }

  fault(kind: FaultKind): void {
    bump(this.#faults, kind);
    this.#faultsDone.inc({ kind });
  }

  /** Billed seconds of a stream so far. */
  billedSeconds(record: StreamRecord): number {
    return Math.max(this.#minimumBilledSeconds, Math.ceil(record.audioSeconds));
  }

  /** Streams that are open, then the last ones that ended, newest first. */
  streams(): readonly StreamRecord[] {
    return [...this.#active, ...this.#recent.toReversed()];
  }

  report(): UsageReport {
    const accounts = structuredClone(this.#accounts);
    for (const record of this.#active) this.#add(accounts, record);
    const sum = (field: keyof Totals) => Object.values(accounts).reduce((total, entry) => total + entry[field], 0);
    return {
      activeStreams: this.#active.size,
      streams: sum('streams'),
      audioSeconds: sum('audioSeconds'),
      billedSeconds: sum('billedSeconds'),
      outcomes: { ...this.#outcomes },
      refusals: { ...this.#refusals },
      faults: { ...this.#faults },
      accounts,
    };
  }

  #add(accounts: Record<string, Totals>, record: StreamRecord): void {
    const account = `${record.accessKeyId}/${record.region}`;
    const known = account in accounts || Object.keys(accounts).length < MAX_ACCOUNTS;
    const name = known ? account : 'other';
    const totals = accounts[name] ?? { streams: 0, audioSeconds: 0, billedSeconds: 0 };
    totals.streams += 1;
    totals.audioSeconds += record.audioSeconds;
    totals.billedSeconds += this.billedSeconds(record);
    accounts[name] = totals;
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ name: `transcribe_emulator_${name}`, help, labelNames, registers: [this.registry] });
  }

  /** A counter that is read from the books when it is scraped. */
  #total(name: string, help: string, read: () => number): void {
    new Counter({
      name: `transcribe_emulator_${name}`,
      help,
      registers: [this.registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }
}
