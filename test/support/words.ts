/**
 * Word error rate: insertions, deletions and substitutions of the best alignment, divided by the words of the
 * reference. Case and punctuation do not count.
 */
export function wordErrorRate(reference: string, hypothesis: string): number {
  const expected = wordsOf(reference);
  const heard = wordsOf(hypothesis);
  let previous = Array.from({ length: heard.length + 1 }, (_, n) => n);
  expected.forEach((word, row) => {
    const current = [row + 1];
    heard.forEach((other, column) => {
      const substituted = (previous[column] ?? 0) + (word === other ? 0 : 1);
      const deleted = (previous[column + 1] ?? 0) + 1;
      const inserted = (current[column] ?? 0) + 1;
      current.push(Math.min(substituted, deleted, inserted));
    });
    previous = current;
  });
  return (previous.at(-1) ?? 0) / Math.max(1, expected.length);
}

/** Words in lower case without punctuation. */
function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[a-z0-9']+/g) ?? [];
}
