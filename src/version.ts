import { createRequire } from 'node:module';

const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

/** Version of the package, the same from source and from dist. */
export const VERSION: string = version;
