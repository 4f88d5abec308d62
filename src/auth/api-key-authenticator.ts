import type { WatchedFiles } from '../watched-files.ts';
import { type ApiKey, principalOfKey } from './api-keys.ts';
import type { Authenticator } from './authenticator.ts';
import { missingToken } from './jwt.ts';
import type { Principal } from './principal.ts';
import type { TokenMint } from './token-mint.ts';

/** Three parts with dots between them: a JWT. No API key looks like it. */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** Accepts the API keys of a file, and what was minted for those who hold one. */
export class ApiKeyAuthenticator implements Authenticator {
  readonly #keys: WatchedFiles<readonly ApiKey[]>;
  readonly #mint: TokenMint | undefined;

  constructor(keys: WatchedFiles<readonly ApiKey[]>, mint: TokenMint | undefined) {
    this.#keys = keys;
    this.#mint = mint;
  }

  async authenticate(token: string | undefined): Promise<Principal> {
    if (token === undefined) throw missingToken();
    if (this.#mint !== undefined && JWT.test(token)) return this.#mint.accept(token);
    return principalOfKey(token, this.#keys.value, Date.now());
  }

  close(): void {
    this.#keys.close();
  }
}
