import type { FastifyInstance } from 'fastify';
import type { TokenMint } from '../auth/token-mint.ts';
import { GatewayError } from '../errors.ts';
import type { FindAsker } from './asker.ts';

/** `POST /v1/tokens`: a back end that holds an API key gets a short-lived token for one of its users. */
export function addTokenRoute(http: FastifyInstance, findAsker: FindAsker, mint: TokenMint | undefined): void {
  http.post('/v1/tokens', async (request, reply) => {
    if (mint === undefined) {
      throw new GatewayError(
        'bad_request',
        'This gateway mints no tokens: it needs GATEWAY_AUTH=api_key and GATEWAY_TOKEN_SECRET.',
      );
    }
    const asker = await findAsker(request, 'transcribe');
    const { expiresInSeconds, token } = await mint.mint(asker, request.body);
    // A secret: no cache may keep it.
    reply.header('cache-control', 'no-store').status(201);
    return { token, token_type: 'Bearer', expires_in: expiresInSeconds };
  });
}
