import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { GatewayError, toGatewayError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { ErrorCode } from '../protocol/error-codes.ts';

const STATUS: Partial<Record<ErrorCode, number>> = {
  unauthorized: 401,
  forbidden: 403,
  origin_refused: 403,
  bad_request: 400,
  rate_exceeded: 429,
  store_unavailable: 503,
  internal: 500,
};

/** What Fastify itself refuses, such as a body that is no JSON, keeps its status and gets a code of ours. */
function ofFastify(error: Error): GatewayError | undefined {
  const { statusCode } = error as Partial<FastifyError>;
  if (statusCode === undefined || statusCode < 400 || statusCode >= 500) return undefined;
  return new GatewayError('bad_request', error.message, { cause: error });
}

/** Answers with `{"error": {code, message, retryable, retry_after_ms}}`, as sockets are answered. */
export function answerError(error: Error, request: FastifyRequest, reply: FastifyReply, log: Logger): void {
  const known = ofFastify(error) ?? toGatewayError(error);
  const { code, message, retryable, retryAfterMs } = known;
  if (code === 'internal') log.error({ err: error, route: request.routeOptions.url }, 'request failed');
  const status = (error as Partial<FastifyError>).statusCode ?? STATUS[code] ?? 400;
  if (code === 'unauthorized') reply.header('www-authenticate', 'Bearer');
  if (retryAfterMs !== undefined) reply.header('retry-after', String(Math.ceil(retryAfterMs / 1000)));
  void reply.status(status).send({ error: { code, message, retryable, retry_after_ms: retryAfterMs } });
}
