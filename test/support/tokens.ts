/** Tokens as an application's own back end signs them. */
import { SignJWT } from 'jose';

const SECRET = 'a secret of tests with more than thirty-two characters';

/** Makes a gateway accept the tokens of `signToken`. */
export const JWT_AUTH = { GATEWAY_AUTH: 'jwt', GATEWAY_JWT_SECRET: SECRET } as const;

/** @param seconds until it expires */
export function signToken(claims: Record<string, unknown> = {}, seconds = 600): Promise<string> {
  const exp = Math.floor(Date.now() / 1000) + seconds;
  return new SignJWT({ sub: 'ann', exp, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(SECRET));
}
