import { constants } from 'node:os';
import type { DrainPace } from './app.ts';
import type { Logger } from './log.ts';

/** What closing may take beyond its own deadline before the process is ended without it, in milliseconds. */
const OVERTIME_MS = 2_000;

/**
 * A second signal this soon is the first one again: Ctrl-C reaches the process both from the terminal and from npm,
 * which passes it on. This is why no library for graceful closing is used: those exit on any second signal.
 */
const SAME_SIGNAL_MS = 300;

type Close = (pace: DrainPace) => Promise<void>;

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/**
 * Ends the process in good order: SIGTERM and SIGINT call `close` and then exit 0; a second signal exits at once with
 * 128 + its number; an uncaught error is logged, calls `close` too, and exits 1. Only SIGTERM, by which machines end a
 * gateway among others, drains it at an even pace.
 *
 * @param deadlineMs within which `close` promises to be done, in milliseconds
 */
export function closeOnSignals(close: Close, deadlineMs: number, log: Logger): void {
  let closingSince: number | undefined;
  const end = (exitCode: number, pace: DrainPace) => {
    closingSince = performance.now();
    closeAndExit(() => close(pace), deadlineMs, log, exitCode);
  };

  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (closingSince === undefined) {
        log.info({ signal }, 'signal received');
        end(0, signal === 'SIGTERM' ? 'even' : 'prompt');
      } else if (performance.now() - closingSince > SAME_SIGNAL_MS) {
        process.exit(128 + constants.signals[signal]);
      }
    });
  }
  process.on('uncaughtException', (err) => {
    log.fatal({ err }, 'uncaught error');
    if (closingSince === undefined) end(1, 'prompt');
  });
}

/**
 * The same for a process that another one ends: signals do nothing here, because Ctrl-C in a terminal reaches both, and
 * the other one gives the order when it has stopped replacing those that end.
 *
 * @param failing called before `close` after an uncaught error
 * @returns gives the order: calls `close`, once, and exits 0
 */
export function closeOnOrder(
  close: Close,
  deadlineMs: number,
  log: Logger,
  failing: () => void,
): (pace: DrainPace) => void {
  let isClosing = false;
  const end = (exitCode: number, pace: DrainPace) => {
    if (isClosing) return;
    isClosing = true;
    closeAndExit(() => close(pace), deadlineMs, log, exitCode);
  };

  for (const signal of SIGNALS) process.on(signal, () => undefined);
  process.on('uncaughtException', (err) => {
    log.fatal({ err }, 'uncaught error');
    if (!isClosing) failing();
    end(1, 'prompt');
  });
  return (pace) => end(0, pace);
}

function closeAndExit(close: () => Promise<void>, deadlineMs: number, log: Logger, exitCode: number): void {
  setTimeout(() => {
    log.fatal('close took too long');
    process.exit(1);
  }, deadlineMs + OVERTIME_MS).unref();
  close().then(
    () => process.exit(exitCode),
    (err: unknown) => {
      log.fatal({ err }, 'close failed');
      process.exit(1);
    },
  );
}
