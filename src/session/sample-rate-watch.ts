/** What recorders record at, in hertz. */
const COMMON_RATES = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

/** Length of a window, in milliseconds: the jitter of a network moves the pace of one by a percent. */
const WINDOW_MS = 6_000;
/** No audio for so long ends a window: a client that pauses shows no pace. */
const PAUSE_MS = 1_500;
/** Chunks without which a window shows nothing. */
const MIN_CHUNKS = 12;
/** By how much the pace may differ from that of a rate: common rates are 8.8% apart at least. */
const TOLERANCE = 0.03;
/** How far audio may be from a steady pace, as the root of the mean of squares, in milliseconds. */
const MAX_JITTER_MS = 400;
/** Windows in a row that must show the same rate. */
const WINDOWS_IF_FAST = 2;
/** Also a network that is too slow makes audio come slowly; but not for long at the same pace. */
const WINDOWS_IF_SLOW = 5;

/**
 * Finds audio that was recorded at another sample rate than it is said to have: it then comes steadily at a pace that is not
 * that of speech, such as 2.76 for 44.1 kHz that is sent as 16. It sounds too slow or too fast to an engine, which makes
 * nonsense of it, and nobody is told.
 *
 * A pace is the slope of the straight line through the arrivals of a window, and counts only if they lie close to it. So a
 * burst at the beginning, pauses and stutter show nothing.
 */
export class SampleRateWatch {
  readonly #candidates: readonly { readonly rate: number; readonly pace: number }[];
  #window: Window | undefined;
  #rate: number | undefined;
  /** Windows in a row that showed it. */
  #windows = 0;
  #isOver = false;

  /**
   * @param sampleRate as the session was told, in hertz
   * @param catchUpSpeed at which clients send what they have kept, which is no sign of anything
   */
  constructor(sampleRate: number, catchUpSpeed: number) {
    this.#candidates = COMMON_RATES.map((rate) => ({ rate, pace: rate / sampleRate })).filter(
      ({ pace }) => !isNear(pace, 1) && !isNear(pace, catchUpSpeed),
    );
  }

  /**
   * A chunk has come.
   * @param audioMs its length by the session's own rate, in milliseconds
   * @param now milliseconds of the monotonic clock
   * @returns once: the rate that the audio most likely has, in hertz
   */
  heard(audioMs: number, now: number): number | undefined {
    if (this.#isOver) return undefined;
    const window = this.#window;
    if (window === undefined || now - window.lastAt > PAUSE_MS) {
      this.reset();
      this.#window = new Window(now);
      return undefined;
    }
    window.add(audioMs, now);
    if (now - window.startedAt < WINDOW_MS) return undefined;
    this.#window = new Window(now);
    return this.#judge(window);
  }

  /** What came until now shows nothing: the client was paced by us, or catches up. */
  reset(): void {
    this.#window = undefined;
    this.#windows = 0;
  }

  /** From now on nothing is a sign. */
  end(): void {
    this.#isOver = true;
  }

  #judge(window: Window): number | undefined {
    const pace = window.pace();
    const found = pace === undefined ? undefined : this.#candidates.find((one) => isNear(pace, one.pace));
    this.#windows = found === undefined ? 0 : found.rate === this.#rate ? this.#windows + 1 : 1;
    this.#rate = found?.rate;
    if (found === undefined || this.#windows < (found.pace > 1 ? WINDOWS_IF_FAST : WINDOWS_IF_SLOW)) return undefined;
    this.#isOver = true;
    return found.rate;
  }
}

function isNear(pace: number, other: number): boolean {
  return Math.abs(pace / other - 1) <= TOLERANCE;
}

/** The arrivals of a window, as the sums that a straight line through them needs. */
class Window {
  readonly startedAt: number;
  lastAt: number;
  #count = 0;
  #audioMs = 0;
  #x = 0;
  #y = 0;
  #xx = 0;
  #xy = 0;
  #yy = 0;

  /** @param startedAt when the chunk before it came */
  constructor(startedAt: number) {
    this.startedAt = startedAt;
    this.lastAt = startedAt;
  }

  add(audioMs: number, now: number): void {
    this.lastAt = now;
    this.#count += 1;
    this.#audioMs += audioMs;
    const x = now - this.startedAt;
    const y = this.#audioMs;
    this.#x += x;
    this.#y += y;
    this.#xx += x * x;
    this.#xy += x * y;
    this.#yy += y * y;
  }

  /** Milliseconds of audio per millisecond; undefined if it was not steady. */
  pace(): number | undefined {
    const n = this.#count;
    const spreadX = this.#xx - (this.#x * this.#x) / n;
    const both = this.#xy - (this.#x * this.#y) / n;
    const spreadY = this.#yy - (this.#y * this.#y) / n;
    if (n < MIN_CHUNKS || spreadX <= 0) return undefined;
    const slope = both / spreadX;
    const jitterMs = Math.sqrt(Math.max(0, spreadY - slope * both) / n);
    return jitterMs <= MAX_JITTER_MS ? slope : undefined;
  }
}
