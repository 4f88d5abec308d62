// For HEALTHCHECK, in an image without a shell: exits 0 if a path of the admin server answers 200.
// node healthcheck.js /livez [port]; without a port that of the gateway in this container.
import { get } from 'node:http';

const DEFAULT_PORT = 9464;
const TIMEOUT_MS = 4_000;

const [, , path = '/livez', port = process.env.GATEWAY_ADMIN_PORT ?? DEFAULT_PORT] = process.argv;
const fail = (reason) => {
  console.error(`${path} on port ${port}: ${reason}`);
  process.exit(1);
};
get({ host: '127.0.0.1', port, path, timeout: TIMEOUT_MS }, (response) => {
  if (response.statusCode !== 200) fail(`status ${response.statusCode}`);
  process.exit(0);
})
  .on('timeout', () => fail(`no answer within ${TIMEOUT_MS} ms`))
  .on('error', (error) => fail(error.message));
