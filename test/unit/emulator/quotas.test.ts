import { describe, expect, test } from 'vitest';
import { Quotas } from '../../../src/emulator/quotas.ts';

describe('quotas', () => {
  test('give a place back once, however often it is returned', () => {
    const quotas = new Quotas(2, 100);
    const release = quotas.take('a', 0);
    quotas.take('a', 0);
    release();
    release();
    quotas.take('a', 0);
    expect(() => quotas.take('a', 0)).toThrow('concurrent streams, 2');
  });

  test('count starts in any second, and not those that were refused', () => {
    const quotas = new Quotas(100, 2);
    quotas.take('a', 0);
    quotas.take('a', 500);
    expect(() => quotas.take('a', 999)).toThrow('starts per second, 2');
    quotas.take('a', 1000);
    expect(() => quotas.take('a', 1499)).toThrow('starts per second');
    quotas.take('a', 1500);
  });

  test('are kept apart by account, and idle accounts are forgotten without harm', () => {
    const quotas = new Quotas(1, 1);
    const release = quotas.take('kept', 0);
    for (let index = 0; index < 3000; index += 1) quotas.take(`other ${index}`, index * 2000)();
    expect(() => quotas.take('kept', 1e9)).toThrow('concurrent streams');
    release();
    quotas.take('kept', 1e9);
  });
});
