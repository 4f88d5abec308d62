import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findInstallation } from '../../../../src/engines/local/installation.ts';
import { createPrivateModel, removePrivateModel } from '../../../../src/engines/local/private-model.ts';

const { modelPath } = findInstallation({ platform: 'linux', arch: 'x64' });

describe('the private model directory', () => {
  let parent: string;
  beforeAll(async () => {
    parent = await mkdtemp(join(tmpdir(), 'gateway-test-'));
  });
  afterAll(() => rm(parent, { recursive: true }));

  it('links the model, with a configuration of its own', () => {
    const directory = join(parent, 'made');
    createPrivateModel(modelPath, directory);
    expect(lstatSync(join(directory, 'am')).isSymbolicLink()).toBe(true);
    expect(existsSync(join(directory, 'graph/words.txt'))).toBe(true);
    expect(readFileSync(join(directory, 'conf/model.conf'), 'utf8')).toContain('--beam=11.0\n');
    expect(readFileSync(join(modelPath, 'conf/model.conf'), 'utf8')).toContain('--beam=10.0\n');
  });

  it('is removed without touching the model, also twice', () => {
    const directory = join(parent, 'removed');
    createPrivateModel(modelPath, directory);
    removePrivateModel(directory);
    removePrivateModel(directory);
    expect(existsSync(directory)).toBe(false);
    expect(existsSync(join(modelPath, 'am/final.mdl'))).toBe(true);
  });

  it('is removed when it was made in part', () => {
    const directory = join(parent, 'partial');
    expect(() => createPrivateModel(join(parent, 'absent'), directory)).toThrow();
    removePrivateModel(directory);
    expect(existsSync(directory)).toBe(false);
  });
});
