import { describe, expect, it } from 'vitest';
import { type SessionState, TRANSITIONS, transition } from '../../../src/session/state.ts';

const STATES = Object.keys(TRANSITIONS) as SessionState[];

describe('session states', () => {
  it('allow exactly the transitions of the table', () => {
    for (const from of STATES) {
      for (const to of STATES) {
        if (TRANSITIONS[from].includes(to)) expect(transition(from, to)).toBe(to);
        else expect(() => transition(from, to)).toThrow(`from ${from} to ${to}`);
      }
    }
  });

  it('can all be reached and all lead to the end', () => {
    const reachable = (from: SessionState): Set<SessionState> => {
      const seen = new Set([from]);
      for (const state of seen) for (const next of TRANSITIONS[state]) seen.add(next);
      return seen;
    };
    expect(reachable('starting')).toEqual(new Set(STATES));
    for (const state of STATES) expect(reachable(state)).toContain('ended');
  });
});
