import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const SCRIPT = new URL('../../.ci/audit', import.meta.url).pathname;
const BASH = execFileSync('which', ['bash'], { encoding: 'utf8' }).trim();

/** A report of npm as its version 11 prints it, cut down to what is read. */
function report(severity: string): string {
  const none = { critical: 0, high: 0, moderate: 0, total: 1 };
  return JSON.stringify({
    vulnerabilities: {
      parser: { severity, range: '<2.0.0', via: [{ title: 'Eats memory', url: 'https://example.com/1' }] },
    },
    metadata: { vulnerabilities: { ...none, [severity]: 1 } },
  });
}

describe('the audit of what a user installs', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'audit-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Runs it with an npm that prints this, and exits as npm does then. */
  function audit(answer: string, exitCode: number) {
    const npm = join(folder, 'npm');
    writeFileSync(join(folder, 'answer'), answer);
    writeFileSync(npm, `#!${BASH}\n/bin/cat '${folder}/answer'\nexit ${exitCode}\n`);
    chmodSync(npm, 0o755);
    const PATH = `${folder}:${dirname(process.execPath)}:/usr/bin:/bin`;
    const { status, stdout } = spawnSync(BASH, [SCRIPT], { env: { PATH }, encoding: 'utf8' });
    return { status, stdout };
  }

  it.each(['high', 'critical'])('fails on a fault that is %s, and names it', (severity) => {
    const { status, stdout } = audit(report(severity), 1);
    expect(status).toBe(1);
    expect(stdout).toContain(`${severity}: parser <2.0.0: Eats memory https://example.com/1`);
  });

  it('does not fail on less', () => {
    expect(audit(report('moderate'), 0).status).toBe(0);
  });

  it.each([
    ['refuses the question', JSON.stringify({ message: '405 Method Not Allowed', error: {} })],
    ['does not answer', ''],
    ['answers with a page', '<html>'],
  ])('says that there is none where the registry %s', (_, answer) => {
    const { status, stdout } = audit(answer, 1);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^npm audit: not available/);
  });
});
