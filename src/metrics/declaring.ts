import { type Aggregator, Counter, Gauge, Histogram, type Registry } from 'prom-client';

export const PREFIX = 'transcribe_gateway_';

/** Seconds. From a fast partial to the slowest final that an engine is known for. */
export const RESULT_LATENCY_BUCKETS = [0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10];

/** The values that each label has, by its name. */
type LabelValues = Readonly<Record<string, readonly string[]>>;

/** A counter whose label values are all known. It has a sample for each from the start, so that `rate()` sees the first event. */
export interface ClosedCounter<Values extends LabelValues> {
  inc(labels: { readonly [Label in keyof Values]: Values[Label][number] }, value?: number): void;
  get: Counter['get'];
}

/** A gauge that is read when it is asked for. */
export interface SampledGauge<Value extends string> {
  /** @param read gives the number for each value of the label; what is not there is 0 */
  sample(read: () => ReadonlyMap<Value, number>): void;
}

/** A gauge of one number that is read when it is asked for. */
export interface ReadGauge {
  sample(read: () => number): void;
}

/** Ways to declare metrics with our prefix. */
export function declaringIn(registry: Registry) {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter({ name: PREFIX + name, help, labelNames, registers });
  return {
    counter,
    closedCounter: <const Values extends LabelValues>(
      name: string,
      help: string,
      values: Values,
    ): ClosedCounter<Values> => {
      const declared = counter<string>(name, help, Object.keys(values));
      for (const labels of combinations(values)) declared.inc(labels, 0);
      return declared;
    },
    gauge: <L extends string>(
      name: string,
      help: string,
      labelNames: readonly L[] = [],
      /** How the values of several workers make one. */
      aggregator: Aggregator = 'sum',
    ) => new Gauge({ name: PREFIX + name, help, labelNames, registers, aggregator }),
    sampledGauge: <const Value extends string>(
      name: string,
      help: string,
      label: string,
      values: readonly Value[],
    ): SampledGauge<Value> => {
      let read: () => ReadonlyMap<Value, number> = () => new Map();
      new Gauge({
        name: PREFIX + name,
        help,
        labelNames: [label],
        registers,
        collect() {
          const numbers = read();
          for (const value of values) this.set({ [label]: value }, numbers.get(value) ?? 0);
        },
      });
      return { sample: (reader) => (read = reader) };
    },
    readGauge: (name: string, help: string): ReadGauge => {
      let read = () => 0;
      new Gauge({
        name: PREFIX + name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
      return { sample: (reader) => (read = reader) };
    },
    /** @param buckets in seconds */
    histogram: <L extends string>(name: string, help: string, buckets: number[], labelNames: readonly L[] = []) =>
      new Histogram({ name: PREFIX + name, help, buckets, labelNames, registers }),
  };
}

function combinations(values: LabelValues): Record<string, string>[] {
  return Object.entries(values).reduce<Record<string, string>[]>(
    (made, [label, some]) => made.flatMap((labels) => some.map((value) => ({ ...labels, [label]: value }))),
    [{}],
  );
}
