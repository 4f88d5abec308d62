import { describe, expect, it } from 'vitest';
import { unwrap } from '../../../src/cluster/messages.ts';

describe('the channel between primary and workers', () => {
  it('tells our messages from those of sticky, and from anything else', () => {
    expect(unwrap({ gateway: { type: 'drain' } })).toEqual({ type: 'drain' });
    expect(unwrap({ type: 'sticky:connection', data: 'sid' })).toBeUndefined();
    for (const other of [null, undefined, 'drain', 1]) expect(unwrap(other)).toBeUndefined();
  });
});
