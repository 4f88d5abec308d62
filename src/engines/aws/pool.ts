import type { GatewayError } from '../../errors.ts';
import { Circuit, type CircuitName } from './circuit.ts';
import { AwsFailure } from './failures.ts';

/** A region or account that streams can be opened in, and its place in the pool. */
export interface PoolMember {
  readonly name: string;
  /** The lowest comes first. */
  readonly priority: number;
  readonly weight: number;
}

/** Called synchronously; must not throw. */
export interface PoolObserver {
  circuitChanged(entry: string, state: CircuitName): void;
  /** @param failure undefined if a stream was opened; the signal's reason if the caller gave up */
  tried(entry: string, failure: unknown): void;
}

export interface PoolSlot<M extends PoolMember> {
  readonly member: M;
  readonly circuit: Circuit;
  /** Of the smooth weighted choice: what the member is owed. */
  credit: number;
}

/**
 * Chooses where a stream is opened: by priority, within one by weight, and the next one where an entry refuses. An entry
 * that keeps failing is set aside by its circuit.
 */
export class Pool<M extends PoolMember> {
  readonly #observer: PoolObserver;
  /** By priority, best first. */
  readonly #groups: readonly (readonly PoolSlot<M>[])[];

  constructor(members: readonly M[], observer: PoolObserver) {
    this.#observer = observer;
    const slots = members.map((member): PoolSlot<M> => {
      const circuit = new Circuit((state) => observer.circuitChanged(member.name, state));
      observer.circuitChanged(member.name, circuit.state);
      return { member, circuit, credit: 0 };
    });
    const byPriority = Map.groupBy(slots, ({ member }) => member.priority);
    this.#groups = [...byPriority].sort(([a], [b]) => a - b).map(([, group]) => group);
  }

  /**
   * Tries one entry after the other until one opens a stream.
   * @param open opens a stream in an entry
   * @throws what the request itself is refused for, at once; otherwise the most hopeful failure of all entries
   */
  async open<T>(open: (slot: PoolSlot<M>) => Promise<T>, signal: AbortSignal): Promise<T> {
    const failures: GatewayError[] = [];
    for (const slot of this.#order()) {
      const { circuit, member } = slot;
      try {
        const opened = await circuit.run(() => open(slot), signal);
        if (opened !== undefined) {
          this.#observer.tried(member.name, undefined);
          return opened;
        }
        if (circuit.lastFailure !== undefined) failures.push(circuit.lastFailure);
      } catch (error) {
        this.#observer.tried(member.name, error);
        signal.throwIfAborted();
        if (!(error instanceof AwsFailure) || !error.blamesEntry) throw error;
        failures.push(error);
      }
    }
    throw failures.find(({ retryable }) => retryable) ?? failures[0] ?? new AwsFailure('unavailable');
  }

  /** Entries that are being tried again come last: one waits for the outcome only where no other opens a stream. */
  *#order(): Generator<PoolSlot<M>> {
    const onTrial: PoolSlot<M>[] = [];
    for (const group of this.#groups) {
      const left = new Set(group);
      while (left.size > 0) {
        const slot = chooseByWeight(left);
        if (slot === undefined) break;
        left.delete(slot);
        if (slot.circuit.state === 'half_open') onTrial.push(slot);
        else yield slot;
      }
    }
    yield* onTrial;
  }
}

/**
 * The smooth weighted choice of nginx: each gets its weight in credit, the richest is chosen and pays all that was given.
 * Entries of weights 3 and 1 come as a, a, b, a and not as a, a, a, b.
 */
function chooseByWeight<M extends PoolMember>(slots: Iterable<PoolSlot<M>>): PoolSlot<M> | undefined {
  let total = 0;
  let chosen: PoolSlot<M> | undefined;
  for (const slot of slots) {
    slot.credit += slot.member.weight;
    total += slot.member.weight;
    if (chosen === undefined || slot.credit > chosen.credit) chosen = slot;
  }
  if (chosen !== undefined) chosen.credit -= total;
  return chosen;
}
