import { integer, setting } from './setting.ts';

/** How long clients may take, whoever they are. */
export const CLIENT_SETTINGS = {
  headersTimeoutMs: setting<number>({
    variable: 'GATEWAY_HEADERS_TIMEOUT_MS',
    schema: integer(100, 600_000),
    default: 15_000,
    unit: 'ms',
    help: 'How long a client may take for the handshake of TLS, and for the headers of a request.',
  }),
  requestTimeoutMs: setting<number>({
    variable: 'GATEWAY_REQUEST_TIMEOUT_MS',
    schema: integer(100, 600_000),
    default: 60_000,
    unit: 'ms',
    help: 'How long it may take for a whole request, such as a poll that brings audio.',
  }),
  connectTimeoutMs: setting<number>({
    variable: 'GATEWAY_CONNECT_TIMEOUT_MS',
    schema: integer(100, 600_000),
    default: 15_000,
    unit: 'ms',
    help: 'How long a connection may be open without a Socket.IO socket on it.',
  }),
} as const;
