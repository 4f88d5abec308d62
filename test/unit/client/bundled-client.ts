import { build } from 'esbuild';
import { ROOT } from '../../support/process.ts';

/** The library and `socket.io-client` as a web application ships them: a script that defines `client`. */
export async function bundledClient(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [`${ROOT}src/client/index.ts`],
    bundle: true,
    minify: true,
    // A built-in module of Node that is needed anywhere is an error for this platform.
    platform: 'browser',
    format: 'iife',
    globalName: 'client',
    target: 'es2022',
    write: false,
    logLevel: 'silent',
  });
  return outputFiles[0]?.text ?? '';
}
