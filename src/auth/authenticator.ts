import type { Principal } from './principal.ts';

/** Turns the token of a handshake or request into who it is. */
export interface Authenticator {
  /**
   * @param token as the client sent it; undefined if it sent none
   * @throws GatewayError `unauthorized`, retryable where the fault is not the token's
   */
  authenticate(token: string | undefined): Promise<Principal>;
  /** Stops what keeps keys fresh. Idempotent. */
  close(): void;
}
