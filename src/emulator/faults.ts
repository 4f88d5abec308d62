/**
 * What shall go wrong: the rules by which faults are chosen, and which faults a new stream gets. How a fault is carried
 * out is in `stream-faults.ts`.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Random } from './random.ts';
import { STREAM_EXCEPTIONS, type StreamException } from './refusal.ts';

/** The most rules held at a time; a rule over it is refused. */
const MAX_RULES = 1000;
/** HTTP/2 error codes used here. Source: RFC 9113, section 7. */
const INTERNAL_ERROR = 2;
const MAX_ERROR_CODE = 13;

const EXCEPTION_NAMES = Object.keys(STREAM_EXCEPTIONS) as [StreamException, ...StreamException[]];
const ms = z.number().int().min(0).max(86_400_000);
/** Audio of the stream after which the fault strikes, in milliseconds, or a range to draw it from; 0: at once. */
const afterAudioMs = z.union([ms, z.strictObject({ min: ms, max: ms })]).default(0);
const errorCode = z.number().int().min(0).max(MAX_ERROR_CODE);

const FAULT = z.discriminatedUnion('kind', [
  /** An exception frame, then the end of the stream. */
  z.strictObject({
    kind: z.literal('exception'),
    exception: z.enum(EXCEPTION_NAMES),
    message: z.string().max(1000).optional(),
    afterAudioMs,
  }),
  /** An HTTP error instead of a stream, such as 429 or 503. */
  z.strictObject({
    kind: z.literal('http_error'),
    status: z.number().int().min(400).max(599),
    errorType: z.string().max(200).optional(),
  }),
  z.strictObject({ kind: z.literal('reset_before_headers'), code: errorCode.default(INTERNAL_ERROR) }),
  /** RST_STREAM after the response headers. */
  z.strictObject({ kind: z.literal('reset'), code: errorCode.default(INTERNAL_ERROR), afterAudioMs }),
  /** The TCP connection is cut. */
  z.strictObject({ kind: z.literal('disconnect'), afterAudioMs }),
  /** Takes audio on, but says nothing more and never ends: a hang. */
  z.strictObject({ kind: z.literal('silence'), afterAudioMs }),
  /** The response ends as if all were said. */
  z.strictObject({ kind: z.literal('early_end'), afterAudioMs }),
  /** GOAWAY with a code; with 0 the stream goes on to its end. */
  z.strictObject({ kind: z.literal('goaway'), code: errorCode.default(0), afterAudioMs }),
  /** Reads no faster than this; 0: not at all. */
  z.strictObject({ kind: z.literal('slow_reader'), bytesPerSecond: z.number().int().min(0), afterAudioMs }),
  /** Holds back everything after the response headers. */
  z.strictObject({ kind: z.literal('late_first_event'), delayMs: ms }),
  /** The next result is cut in its middle, then the response ends. */
  z.strictObject({ kind: z.literal('truncated_frame'), afterAudioMs }),
  /** The next result has a wrong checksum. */
  z.strictObject({ kind: z.literal('corrupt_frame'), afterAudioMs }),
  /** The Date header of the response is off by so much; negative: behind. */
  z.strictObject({ kind: z.literal('clock_skew'), skewMs: z.number().int().min(-86_400_000).max(86_400_000) }),
]);

export const FAULT_RULE = z
  .strictObject({
    fault: FAULT,
    /** The next so many streams get the fault; rules of this kind are used up in their order, one a stream. */
    next: z.number().int().min(1).max(100_000).optional(),
    /** Each new stream gets the fault with this probability. */
    rate: z.number().min(0).max(1).optional(),
    /** The streams that run now get it, and no rule remains. */
    running: z.literal(true).optional(),
  })
  .refine(
    (rule) => [rule.next, rule.rate, rule.running].filter((way) => way !== undefined).length === 1,
    'A rule needs exactly one of next, rate and running.',
  );

/** As a caller writes a rule; defaults may be left out. */
export type FaultRule = z.input<typeof FAULT_RULE>;
export type Fault = z.output<typeof FAULT>;
export type FaultKind = Fault['kind'];

interface HeldRule {
  readonly id: string;
  readonly fault: Fault;
  /** Streams that are still to get it; undefined for a rule with a rate. */
  remaining?: number;
  readonly rate?: number;
}

export class FaultPlan {
  readonly #random: Random;
  #rules: HeldRule[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  /** The rules that can still strike, with the streams left to each `next` rule. */
  get rules(): readonly Readonly<HeldRule>[] {
    return this.#rules;
  }

  /**
   * Adds a rule with `next` or `rate`.
   * @returns its id, or undefined if as many rules are held as can be
   */
  add({ fault, next, rate = 0 }: z.output<typeof FAULT_RULE>): string | undefined {
    if (this.#rules.length >= MAX_RULES) return undefined;
    const id = randomUUID();
    this.#rules.push(next === undefined ? { id, fault, rate } : { id, fault, remaining: next });
    return id;
  }

  /** @returns whether there was such a rule */
  remove(id: string): boolean {
    const before = this.#rules.length;
    this.#rules = this.#rules.filter((rule) => rule.id !== id);
    return this.#rules.length < before;
  }

  clear(): void {
    this.#rules = [];
  }

  /** The faults of a new stream: that of the first `next` rule, and of each `rate` rule that the dice choose. */
  draw(): Fault[] {
    const next = this.#rules.find((rule) => rule.remaining !== undefined);
    if (next?.remaining !== undefined) {
      next.remaining -= 1;
      if (next.remaining === 0) this.remove(next.id);
    }
    const byRate = this.#rules.filter((rule) => rule.rate !== undefined && this.#random() < rule.rate);
    return [...(next ? [next.fault] : []), ...byRate.map((rule) => rule.fault)];
  }
}
