import { expect } from 'vitest';
import { GatewayError } from '../../../src/errors.ts';
import type { ErrorCode } from '../../../src/protocol/error-codes.ts';

/** The gateway error that `act` throws; anything else it does fails the test. */
export function refusal(act: () => unknown): GatewayError {
  let thrown: unknown;
  try {
    act();
  } catch (error) {
    thrown = error;
  }
  if (thrown instanceof GatewayError) return thrown;
  throw new Error('expected a GatewayError', { cause: thrown });
}

/** Undefined when `act` returns; fails the test when it throws anything but a gateway error with one of `codes`. */
export function onlyRefuses(act: () => unknown, codes: readonly ErrorCode[]): void {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(GatewayError);
    if (error instanceof GatewayError) expect(codes).toContain(error.code);
  }
}
