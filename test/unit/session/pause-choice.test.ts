import { describe, expect, it } from 'vitest';
import { choosePause, type Pause } from '../../../src/session/pause-choice.ts';

const BILLING = { minimumSeconds: 15 };
const choose = (pause: Partial<Pause>) =>
  choosePause({ lasts: 10, sent: 60, given: 0, isCovered: true, isProbed: false, ...pause }, BILLING);

describe('choosePause', () => {
  it('keeps a stream through a pause that costs less than a new stream may', () => {
    expect(choose({ lasts: 10 })).toBe('keep');
    expect(choose({ lasts: 200, given: 2 })).toBe('keep');
  });

  it('parks it once the silence that it was given and the place that it held have cost as much', () => {
    expect(choose({ lasts: 301 })).toBe('park');
    expect(choose({ lasts: 200, given: 6 })).toBe('park');
  });

  it('keeps a stream longer whose seconds are paid for in any case', () => {
    expect(choose({ lasts: 301, sent: 5 })).toBe('keep');
    expect(choose({ lasts: 301, sent: 5, given: 9 })).toBe('keep');
    expect(choose({ lasts: 501, sent: 5 })).toBe('park');
  });

  it('lets the engine answer first for what it was given, and parks a stream that does not', () => {
    expect(choose({ isCovered: false })).toBe('probe');
    expect(choose({ isCovered: false, isProbed: true })).toBe('park');
  });

  it('never lets a pause cost more than twice the least, however long it is', () => {
    for (let lasts = 9; ; lasts += 9) {
      const given = lasts / 90;
      if (choose({ lasts, given }) === 'park') {
        expect(given + lasts * 0.05).toBeLessThanOrEqual(2 * BILLING.minimumSeconds);
        break;
      }
    }
  });
});
