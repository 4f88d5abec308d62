/**
 * The admin API, on a port of its own:
 *
 *     GET    /usage        billed seconds, audio, outcomes, refusals and faults, in all and by account
 *     GET    /streams      the open streams and the last ones that ended
 *     GET    /metrics      the same for Prometheus
 *     GET    /healthz      200
 *     GET    /faults       the rules that can still strike
 *     POST   /faults       a rule: {"fault": {"kind": …}, "next": 1 | "rate": 0.1 | "running": true}
 *     DELETE /faults       all rules
 *     DELETE /faults/:id   one rule
 */
import Fastify, { type FastifyInstance } from 'fastify';
import { FAULT_RULE, type FaultPlan } from './faults.ts';
import type { EmulatorServer } from './server.ts';
import type { Usage } from './usage.ts';

/** The longest rule taken, in bytes. */
const MAX_BODY_BYTES = 16 * 1024;

export function createAdmin(usage: Usage, plan: FaultPlan, server: EmulatorServer): FastifyInstance {
  const app = Fastify({ bodyLimit: MAX_BODY_BYTES, forceCloseConnections: true });
  app.get('/healthz', () => ({ ok: true }));
  app.get('/usage', () => usage.report());
  app.get('/streams', () => ({
    streams: usage.streams().map((record) => ({ ...record, billedSeconds: usage.billedSeconds(record) })),
  }));
  app.get('/metrics', async (_request, reply) => {
    reply.type(usage.registry.contentType);
    return usage.registry.metrics();
  });
  app.get('/faults', () => ({ rules: plan.rules }));
  app.post('/faults', (request, reply) => {
    const rule = FAULT_RULE.safeParse(request.body);
    if (!rule.success) return reply.code(400).send({ error: 'invalid_rule', issues: rule.error.issues });
    if (rule.data.running) {
      server.inject(rule.data.fault);
      return reply.code(202).send({});
    }
    const id = plan.add(rule.data);
    return id === undefined ? reply.code(409).send({ error: 'too_many_rules' }) : reply.code(201).send({ id });
  });
  app.delete('/faults', (_request, reply) => {
    plan.clear();
    return reply.code(204).send();
  });
  app.delete<{ Params: { id: string } }>('/faults/:id', (request, reply) =>
    reply.code(plan.remove(request.params.id) ? 204 : 404).send(),
  );
  return app;
}
