import { mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { WatchedFiles } from '../../src/watched-files.ts';

describe('a watched file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'keys-'));
  const open: WatchedFiles<unknown>[] = [];
  afterEach(() => {
    for (const one of open.splice(0)) one.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is read again when a link to it is replaced, and a faulty version changes nothing', async () => {
    const path = join(folder, 'keys.json');
    for (const [name, text] of Object.entries({ v1: '[1]', v2: '[2]', v3: '[' }))
      writeFileSync(join(folder, name), text);
    symlinkSync(join(folder, 'v1'), path);
    const told: unknown[] = [];
    const watched = await WatchedFiles.open<unknown>([path], {
      parse: ([text = '']) => JSON.parse(text),
      changed: (error) => told.push(error),
      checkMs: 5,
    });
    open.push(watched);
    const replace = (name: string) => {
      unlinkSync(path);
      symlinkSync(join(folder, name), path);
    };
    expect(watched.value).toEqual([1]);
    replace('v2');
    await expect.poll(() => watched.value).toEqual([2]);
    replace('v3');
    await expect.poll(() => told.at(-1)).toBeInstanceOf(SyntaxError);
    expect(watched.value).toEqual([2]);
    unlinkSync(path);
    await expect.poll(() => String(told.at(-1))).toContain('ENOENT');
    symlinkSync(join(folder, 'v1'), path);
    await expect.poll(() => watched.value).toEqual([1]);
    expect(told.filter((error) => String(error).includes('ENOENT'))).toHaveLength(1);
  });

  it('that is not there is a fault at the start', async () => {
    await expect(
      WatchedFiles.open([join(folder, 'none')], { parse: String, changed: () => undefined }),
    ).rejects.toThrow('ENOENT');
  });
});
