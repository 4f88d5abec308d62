import Fastify, { type FastifyInstance } from 'fastify';

/** A registry of prom-client, or what stands for several of them. */
interface MetricsSource {
  readonly contentType: string;
  metrics(): Promise<string>;
}

export interface Readiness {
  readonly ready: boolean;
  /** One word for the body of /readyz: `ready`, `starting`, `draining`; `no_worker` while all are being replaced. */
  readonly status: string;
}

/**
 * Health and metrics on a port of their own, so that neither a balancer nor the internet sees them.
 *
 * `/livez` says that the process answers; `/readyz` that new clients are welcome. Neither asks the engine: a hung
 * engine would otherwise take out every pod at once.
 */
export function createAdminServer(source: MetricsSource, readiness: () => Readiness): FastifyInstance {
  const admin = Fastify();
  admin.get('/livez', async () => ({ status: 'alive' }));
  admin.get('/readyz', async (_request, reply) => {
    const { ready, status } = readiness();
    return reply.code(ready ? 200 : 503).send({ status });
  });
  admin.get('/metrics', async (_request, reply) => {
    const text = await source.metrics();
    return reply.type(source.contentType).send(text);
  });
  return admin;
}
