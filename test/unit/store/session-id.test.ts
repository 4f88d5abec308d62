import { describe, expect, it } from 'vitest';
import { keysOf, sessionIdOf } from '../../../src/store/keys.ts';
import { checkSessionId, isSessionId, newSessionId, tagOf } from '../../../src/store/session-id.ts';

describe('session ids', () => {
  it('are all different, and told from anything else', () => {
    const ids = [newSessionId('p'), newSessionId('p'), newSessionId('p', 'key'), newSessionId('p', 'key')];
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(isSessionId(id)).toBe(true);
    for (const text of ['', 'x', `${ids[0]}x`, ids[0]?.replace('.', '}') ?? '', ` ${ids[0]}`]) {
      expect(isSessionId(text)).toBe(false);
    }
  });

  it('share a tag exactly when they share principal and start key', () => {
    const tag = (principal: string, key?: string) => tagOf(newSessionId(principal, key));
    expect(tag('p', 'key')).toBe(tag('p', 'key'));
    expect(tag('p', 'key')).not.toBe(tag('q', 'key'));
    expect(tag('p', 'key')).not.toBe(tag('p', 'other'));
    expect(tag('pk', 'ey')).not.toBe(tag('p', 'key'));
    expect(tag('p')).not.toBe(tag('p'));
  });

  it('are checked against the principal and key that they were made of', () => {
    const id = newSessionId('p', 'key');
    expect(() => checkSessionId(id, 'p', 'key')).not.toThrow();
    expect(() => checkSessionId(id, 'q', 'key')).toThrow(TypeError);
    expect(() => checkSessionId('id', 'p')).toThrow(TypeError);
  });

  it('give keys from which they can be read again', () => {
    for (const id of [newSessionId('p'), newSessionId('p', 'key')]) {
      expect(sessionIdOf('some:prefix:', keysOf('some:prefix:', id).record)).toBe(id);
    }
  });
});
