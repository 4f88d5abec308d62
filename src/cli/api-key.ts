import { newApiKey, parseApiKeys } from '../auth/api-keys.ts';
import { EXIT, type ExitStatus } from './exit.ts';

export interface ApiKeyCommandOptions {
  readonly id: string;
  readonly tenant: string;
  readonly scope: readonly string[] | undefined;
  readonly language: readonly string[] | undefined;
  readonly expires: string | undefined;
}

/** `api-key`: makes a key. The entry for the file of keys goes to standard output, the key itself to standard error. */
export function apiKey({ expires, id, language, scope, tenant }: ApiKeyCommandOptions): ExitStatus {
  const { key, sha256 } = newApiKey();
  const entry = { id, sha256, tenant, scopes: scope, languages: language, expires };
  try {
    parseApiKeys(JSON.stringify({ keys: [entry] }));
  } catch (error) {
    console.error(error instanceof Error ? error.message.replaceAll('keys.0.', '') : String(error));
    return EXIT.usage;
  }
  console.log(JSON.stringify(entry, undefined, 2));
  console.error(`\nThe key, which is shown this once and is stored nowhere:\n\n  ${key}\n`);
  return EXIT.ok;
}
