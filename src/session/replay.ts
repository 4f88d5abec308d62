import { failpoint } from '../failpoints.ts';
import type { ResumeRequest } from '../protocol/resume-request.ts';
import type { Numbered } from '../resume/entries.ts';
import type { EntryBody, EntryNote, SessionView } from './session-view.ts';

type Entries = readonly Numbered<EntryBody>[];

/** What there is to send again. */
interface Replay {
  /** Without holes, up to the last one. */
  readonly entries: Entries;
  /** Number of the last entry, held or not. */
  readonly lastSeq: number;
  /** End of the one before the first of `entries`, in samples; undefined if it is not known. */
  readonly trimmedEnd: number | undefined;
}

/**
 * Sends what a client missed. It is told of what is not held any more: no recovery passes for whole that is not.
 */
export function replay(
  view: SessionView,
  { entries, lastSeq, trimmedEnd }: Replay,
  { lastEnd, lastSeq: clientSeq }: ResumeRequest,
  note: Pick<EntryNote, 'epoch' | 'durable'>,
): void {
  const [first] = entries;
  const lastTrimmed = (first?.seq ?? lastSeq + 1) - 1;
  if (lastTrimmed > clientSeq) {
    view.trimmed(lastTrimmed, note.epoch, lastEnd, trimmedEnd ?? first?.startSample ?? lastEnd);
  }
  for (const { body, seq } of entries) {
    view.entry(body, { ...note, seq, replayed: true });
    failpoint('replay');
  }
}

/** The end of a journal as the store has it, and as its owner: of the first only what the second goes on from. */
export function joined(recorded: Entries, owned: Entries): Entries {
  const next = owned[0]?.seq;
  return next === undefined || recorded.at(-1)?.seq === next - 1 ? [...recorded, ...owned] : owned;
}
