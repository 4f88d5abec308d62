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
   * @param choose which of the entries, by their names the best first, it is to be; the best by default
   * @throws what the request itself is refused for, at once; otherwise the most hopeful failure of all entries
   */
  async open<T>(
    open: (slot: PoolSlot<M>) => Promise<T>,
    signal: AbortSignal,
    choose: (entries: readonly string[], failures: number) => Promise<string | undefined> = async ([best]) => best,
  ): Promise<T> {
    const failures: GatewayError[] = [];
    const left = this.#groups.map((group) => new Set(group));
    for (;;) {
      const order = inOrder(left);
      const name =
        order.length === 0
          ? undefined
          : await choose(
              order.map(({ member }) => member.name),
              failures.length,
            );
      const slot = order.find(({ member }) => member.name === name);
      if (slot === undefined) break;
      take(slot, left);
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
}

/**
 * Best first: by priority, then by the smooth weighted choice. Entries that are being tried again come last: one waits for
 * the outcome only where no other opens a stream.
 */
function inOrder<M extends PoolMember>(groups: readonly ReadonlySet<PoolSlot<M>>[]): PoolSlot<M>[] {
  const due = ({ credit, member }: PoolSlot<M>) => credit + member.weight;
  const order = groups.flatMap((group) => [...group].sort((a, b) => due(b) - due(a)));
  const isOnTrial = ({ circuit }: PoolSlot<M>) => circuit.state === 'half_open';
  return [...order.filter((slot) => !isOnTrial(slot)), ...order.filter(isOnTrial)];
}

/**
 * The smooth weighted choice of nginx: each of a priority gets its weight in credit, and the one that is chosen pays all
 * that was given. Entries of weights 3 and 1 come as a, a, b, a and not as a, a, a, b.
 */
function take<M extends PoolMember>(chosen: PoolSlot<M>, groups: readonly Set<PoolSlot<M>>[]): void {
  const group = groups.find((one) => one.has(chosen));
  for (const slot of group ?? []) {
    slot.credit += slot.member.weight;
    chosen.credit -= slot.member.weight;
  }
  group?.delete(chosen);
}
