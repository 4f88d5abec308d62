import cliProgress from 'cli-progress';
import type { ResultEvent } from '../protocol/events.ts';

type ShownResult = Pick<ResultEvent, 'text' | 'is_partial'>;

/** Where the stream command shows what happens. */
export interface TranscriptView {
  /** @param sentMs audio sent, in milliseconds @param totalMs undefined when the length is not known */
  progress(sentMs: number, totalMs: number | undefined): void;
  result(event: ShownResult): void;
  /** One line about the course of things. */
  note(text: string): void;
  close(): void;
}

interface Output extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** ANSI: erases from the cursor to the end of the screen. */
const CLEAR_BELOW = '\x1b[0J';

/** Picks the view that suits the two outputs; finals alone go to a standard output that is no terminal. */
export function createView(stdout: Output, stderr: Output, json: boolean): TranscriptView {
  const finals = json ? () => undefined : (text: string) => stdout.write(`${text}\n`);
  if (stdout.isTTY === true && !json) return new TerminalView(stdout, undefined);
  return stderr.isTTY === true ? new TerminalView(stderr, finals) : new PlainView(finals, stderr);
}

/** A progress bar, the current partial above it, and above that what is settled. */
class TerminalView implements TranscriptView {
  readonly #terminal: Output;
  readonly #bars: cliProgress.MultiBar;
  readonly #partial: cliProgress.SingleBar;
  readonly #bar: cliProgress.SingleBar;
  /** Undefined when finals belong on the terminal itself. */
  readonly #finals: ((text: string) => void) | undefined;

  constructor(terminal: Output, finals: ((text: string) => void) | undefined) {
    this.#terminal = terminal;
    this.#finals = finals;
    this.#bars = new cliProgress.MultiBar({
      stream: terminal,
      hideCursor: true,
      // Both bars fit a line; the settled text above them may need several.
      linewrap: true,
      // What is settled is written over the bars, so that they are to be drawn anew even where they have not changed.
      forceRedraw: true,
      clearOnComplete: false,
      // Ctrl-C is the command's to handle: it asks for the last finals.
      gracefulExit: false,
      barsize: 40,
      barCompleteChar: '█',
      barIncompleteChar: '░',
    });
    this.#bars.on('redraw-pre', () => terminal.write(CLEAR_BELOW));
    this.#partial = this.#bars.create(1, 0, { text: '' }, { format: '{text}' });
    this.#bar = this.#bars.create(1, 0, { at: '' }, { format: ' {at} {bar}' });
  }

  progress(sentMs: number, totalMs: number | undefined): void {
    this.#bar.setTotal(Math.max(1, totalMs ?? sentMs));
    this.#bar.update(sentMs, { at: totalMs === undefined ? clock(sentMs) : `${clock(sentMs)} / ${clock(totalMs)}` });
  }

  result(event: ShownResult): void {
    if (event.is_partial) {
      this.#partial.update({ text: tail(event.text, (this.#terminal.columns ?? 80) - 4) });
      return;
    }
    this.#partial.update({ text: '' });
    if (this.#finals === undefined) this.note(event.text);
    else this.#finals(event.text);
  }

  note(text: string): void {
    this.#bars.log(`${text}\n`);
    this.#bars.update();
  }

  close(): void {
    this.#bars.update();
    this.#bars.stop();
  }
}

/** Lines only. */
class PlainView implements TranscriptView {
  readonly #finals: (text: string) => void;
  readonly #stderr: Output;

  constructor(finals: (text: string) => void, stderr: Output) {
    this.#finals = finals;
    this.#stderr = stderr;
  }

  progress(): void {}

  result(event: ShownResult): void {
    if (event.is_partial) this.note(`… ${event.text}`);
    else this.#finals(event.text);
  }

  note(text: string): void {
    this.#stderr.write(`${text}\n`);
  }

  close(): void {}
}

/** Minutes and seconds, with hours where there are any. */
function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const two = (n: number) => String(n).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}

/** The end of a text that fits the columns: of a long partial the newest words matter. */
function tail(text: string, columns: number): string {
  return text.length <= columns ? `… ${text}` : `… ${text.slice(text.length - columns)}`;
}
