import { TranscriptionError } from './errors.ts';

/** Fills an array with random bytes that nobody can guess. */
export type RandomSource = (bytes: Uint8Array<ArrayBuffer>) => unknown;

/**
 * 128 random bits as 32 hexadecimal digits.
 * @throws TranscriptionError `no_random` where the platform has no `crypto.getRandomValues`, as React Native without a
 *   polyfill. `Math.random` would not do: who guesses a start key can end another's session.
 */
export function randomKey(source: RandomSource = platformRandom()): string {
  const bytes = new Uint8Array(16);
  source(bytes);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A key for load balancers to hash. It is no secret, so that any randomness will do. */
export function balancerKey(): string {
  return Math.random().toString(36).slice(2).padEnd(8, '0');
}

function platformRandom(): RandomSource {
  const crypto = (globalThis as { crypto?: { getRandomValues?: RandomSource } }).crypto;
  if (typeof crypto?.getRandomValues !== 'function') {
    throw new TranscriptionError(
      'no_random',
      "This platform has no crypto.getRandomValues. In React Native install 'react-native-get-random-values' and " +
        "import it before this library, or give the option 'random'.",
    );
  }
  return (bytes) => crypto.getRandomValues?.(bytes);
}
