import { createServer } from 'node:http';
import Fastify, { type FastifyInstance } from 'fastify';
import { type RequestTimes, serverOptions } from '../http/limits.ts';

/** A registry of prom-client, or what stands for several of them. */
interface MetricsSource {
  readonly contentType: string;
  metrics(): Promise<string>;
}

/** An answer to a probe. */
export interface Verdict {
  readonly ok: boolean;
  /** One word for the body, such as `ready`, `starting` or `draining`. */
  readonly status: string;
}

/** What the probes of Kubernetes ask. None of it depends on Redis or the engine: they would take out every pod at once. */
export interface Health {
  /** It has been ready once. */
  readonly startup: Verdict;
  /** It makes progress, or will by itself. Otherwise only a restart helps. */
  readonly liveness: Verdict;
  /** New clients are welcome. */
  readonly readiness: Verdict;
}

/** Health and metrics on a port of their own, so that neither a balancer nor the internet sees them. */
export function createAdminServer(source: MetricsSource, health: Health, times: RequestTimes): FastifyInstance {
  const admin = Fastify({ serverFactory: (handler) => createServer(serverOptions(times), handler) });
  const probe = (path: string, verdict: () => Verdict) =>
    admin.get(path, async (_request, reply) => {
      const { ok, status } = verdict();
      return reply.code(ok ? 200 : 503).send({ status });
    });
  probe('/startupz', () => health.startup);
  probe('/livez', () => health.liveness);
  probe('/readyz', () => health.readiness);
  admin.get('/metrics', async (_request, reply) => {
    const text = await source.metrics();
    return reply.type(source.contentType).send(text);
  });
  return admin;
}
