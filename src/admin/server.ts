import Fastify, { type FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';

export interface Readiness {
  readonly ready: boolean;
  /** One word for the body of /readyz: `ready`, `starting`, `draining`. */
  readonly status: string;
}

/**
 * Health and metrics on a port of their own, so that neither a balancer nor the internet sees them.
 *
 * `/livez` says that the process answers; `/readyz` that new clients are welcome. Neither asks the engine: a hung
 * engine would otherwise take out every pod at once.
 */
export function createAdminServer(registry: Registry, readiness: () => Readiness): FastifyInstance {
  const admin = Fastify();
  admin.get('/livez', async () => ({ status: 'alive' }));
  admin.get('/readyz', async (_request, reply) => {
    const { ready, status } = readiness();
    return reply.code(ready ? 200 : 503).send({ status });
  });
  admin.get('/metrics', async (_request, reply) => {
    const text = await registry.metrics();
    return reply.type(registry.contentType).send(text);
  });
  return admin;
}
