import type { FastifyInstance } from 'fastify';
import { bearerToken } from '../auth/bearer.ts';
import type { Door } from '../auth/index.ts';
import { assertScope } from '../auth/principal.ts';
import { GatewayError } from '../errors.ts';
import type { DoorLimits } from '../limits/door-limits.ts';
import { countedAddress } from '../socket/client-address.ts';

export interface TokenRouteOptions {
  readonly door: Door;
  readonly doors: DoorLimits;
  /** See `countedAddress`. */
  readonly trustedProxies: number;
}

/** `POST /v1/tokens`: a back end that holds an API key gets a short-lived token for one of its users. */
export function addTokenRoute(http: FastifyInstance, { door, doors, trustedProxies }: TokenRouteOptions): void {
  const { authenticator, mint } = door;
  http.post('/v1/tokens', async ({ body, headers, socket }, reply) => {
    if (mint === undefined) {
      throw new GatewayError(
        'bad_request',
        'This gateway mints no tokens: it needs GATEWAY_AUTH=api_key and GATEWAY_TOKEN_SECRET.',
      );
    }
    const forwardedFor = headers['x-forwarded-for']?.toString();
    const address = countedAddress(socket.remoteAddress, forwardedFor, trustedProxies);
    const asker = await doors.authenticate(address, () =>
      authenticator.authenticate(bearerToken(headers.authorization)),
    );
    assertScope(asker, 'transcribe', 'POST /v1/tokens');
    const { expiresInSeconds, token } = await mint.mint(asker, body);
    // A secret: no cache may keep it.
    reply.header('cache-control', 'no-store').status(201);
    return { token, token_type: 'Bearer', expires_in: expiresInSeconds };
  });
}
