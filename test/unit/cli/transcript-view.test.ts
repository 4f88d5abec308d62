import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createView } from '../../../src/cli/transcript-view.ts';

/** An output that keeps what is written to it; as a terminal it has the methods that a real one has. */
function output(isTTY: boolean) {
  let written = '';
  const stream = new Writable({
    write(text: Buffer, _encoding, done) {
      written += text.toString();
      done();
    },
  });
  return { stream: Object.assign(stream, { isTTY, columns: 40, rows: 10 }), written: () => written };
}

const partial = { text: 'one two', is_partial: true };
const final = { text: 'one two three', is_partial: false };

describe('createView', () => {
  it('on a terminal shows elapsed and total time, the partial and the finals there', async () => {
    const stdout = output(true);
    const stderr = output(true);
    const view = createView(stdout.stream, stderr.stream, false);
    view.progress(3_000, 72_000);
    view.result(partial);
    await expect.poll(stdout.written).toContain('… one two');
    await expect.poll(stdout.written).toContain('00:03 / 01:12');
    view.result(final);
    view.close();
    expect(stdout.written()).toContain('one two three\n');
    expect(stderr.written()).toBe('');
  });

  it('shows the end of a partial that is longer than the line', async () => {
    const stdout = output(true);
    const view = createView(stdout.stream, output(true).stream, false);
    view.result({ text: `${'word '.repeat(40)}newest`, is_partial: true });
    await expect.poll(stdout.written).toMatch(/… [word ]{20,}newest/);
    view.close();
  });

  it('with finals redirected shows the rest on the terminal of standard error', async () => {
    const stdout = output(false);
    const stderr = output(true);
    const view = createView(stdout.stream, stderr.stream, false);
    view.result(partial);
    await expect.poll(stderr.written).toContain('… one two');
    view.result(final);
    view.close();
    expect(stdout.written()).toBe('one two three\n');
  });

  it('without any terminal prints lines', () => {
    const stdout = output(false);
    const stderr = output(false);
    const view = createView(stdout.stream, stderr.stream, false);
    view.progress(1, 2);
    view.result(partial);
    view.result(final);
    view.note('done');
    view.close();
    expect([stdout.written(), stderr.written()]).toEqual(['one two three\n', '… one two\ndone\n']);
  });

  it('prints no finals besides JSON', () => {
    const stdout = output(true);
    const view = createView(stdout.stream, output(false).stream, true);
    view.result(final);
    view.close();
    expect(stdout.written()).toBe('');
  });
});
