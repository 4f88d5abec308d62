import Fastify, { type FastifyInstance } from 'fastify';
import { VERSION } from '../version.ts';

/** The public HTTP server. Socket.IO shares its port; `/` tells whoever opens it in a browser what is here. */
export function createHttpServer(): FastifyInstance {
  const http = Fastify();
  http.get('/', async () => ({
    service: 'transcribe-gateway',
    version: VERSION,
    protocols: [1, 2],
    socket_io_path: '/socket.io',
    socket_io_client: '/socket.io/socket.io.js',
  }));
  return http;
}
