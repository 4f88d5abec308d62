/** Redis serves nobody else while it runs a script: about a millisecond for so many items. */
const ITEMS_PER_CALL = 100;

/**
 * The answers to many items, sent in as few calls as may be.
 * @param batchOf those of different batches never go in one call: in a cluster, the hash tag of an item
 * @param send answers each item, in order
 * @param unanswered stands for the answer to an item whose call failed
 * @returns an answer for each item, in order
 * @throws what `send` threw, if no call was answered
 */
export async function inBatches<T, A>(
  items: readonly T[],
  batchOf: (item: T) => string,
  send: (batch: readonly T[]) => Promise<readonly A[]>,
  unanswered: A,
): Promise<A[]> {
  const answers = items.map(() => unanswered);
  let failure: unknown;
  let isAnswered = items.length === 0;
  const call = async (batch: Batch<T>) => {
    try {
      const replies = await send(batch.items);
      for (const [index, at] of batch.places.entries()) answers[at] = replies[index] ?? unanswered;
      isAnswered = true;
    } catch (error) {
      failure = error;
    }
  };
  await Promise.all(batchesOf(items, batchOf).map(call));
  if (!isAnswered) throw failure;
  return answers;
}

interface Batch<T> {
  readonly items: T[];
  /** Where each stands among all. */
  readonly places: number[];
}

function batchesOf<T>(items: readonly T[], batchOf: (item: T) => string): Batch<T>[] {
  const batches: Batch<T>[] = [];
  const open = new Map<string, Batch<T>>();
  for (const [at, item] of items.entries()) {
    const key = batchOf(item);
    let batch = open.get(key);
    if (batch === undefined || batch.items.length === ITEMS_PER_CALL) {
      batch = { items: [], places: [] };
      open.set(key, batch);
      batches.push(batch);
    }
    batch.items.push(item);
    batch.places.push(at);
  }
  return batches;
}
