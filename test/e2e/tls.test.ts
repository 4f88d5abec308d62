import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { Certificate } from '../../src/http/certificate.ts';
import { createLogger } from '../../src/log.ts';
import { connect, silence } from '../support/client.ts';
import { CodedEngine } from '../support/coded-engine.ts';
import { startGateway } from '../support/gateway.ts';
import { run } from '../support/process.ts';
import { rawTcp } from '../support/raw-client.ts';

const open: { close(): unknown }[] = [];

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

/** A certificate with its key in a folder of its own. */
async function makeCertificate(name: string): Promise<{ cert: string; key: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'tls-'));
  open.push({ close: () => rmSync(folder, { recursive: true }) });
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const made = run('openssl', ['req', '-x509', ...kind, '-subj', `/CN=${name}`, '-keyout', key, '-out', cert]);
  expect(await made.exited).toBe(0);
  return { cert, key };
}

/** Name in the certificate that a new connection is shown. */
function shownName(port: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const options = { rejectUnauthorized: false, agent: false };
    get(`https://127.0.0.1:${port}/`, options, (response) => {
      resolve((response.socket as TLSSocket).getPeerCertificate().subject.CN);
      response.destroy();
    }).once('error', reject);
  });
}

describe('TLS by the gateway itself', () => {
  it.each(['', '\x16\x03\x01'])(
    'ends a connection that does not come to the end of its handshake: %j',
    async (says) => {
      const { cert, key } = await makeCertificate('gateway.example.com');
      const gateway = await startGateway(new CodedEngine(), {
        GATEWAY_WORKERS: '1',
        GATEWAY_TLS_CERT_FILE: cert,
        GATEWAY_TLS_KEY_FILE: key,
        GATEWAY_HEADERS_TIMEOUT_MS: '300',
      });
      open.push(gateway);
      const slow = await rawTcp(gateway.url, Buffer.from(says, 'latin1'));
      open.push({ close: () => slow.socket.destroy() });
      await expect.poll(() => slow.isClosed).toBe(true);
    },
  );

  it.each(['websocket', 'polling'])('serves clients over %s', async (transport) => {
    const { cert, key } = await makeCertificate('gateway.example.com');
    const gateway = await startGateway(new CodedEngine(), {
      GATEWAY_WORKERS: '1',
      GATEWAY_TLS_CERT_FILE: cert,
      GATEWAY_TLS_KEY_FILE: key,
    });
    open.push(gateway);
    const url = gateway.url.replace('http:', 'https:');
    const client = connect(url, { transports: [transport], rejectUnauthorized: false });
    open.push(client);
    await client.next('connected');
    client.socket.emit('start_transcription');
    await client.next('transcription_started');
    client.socket.emit('audio_chunk', { chunk: silence(200) });
    client.socket.emit('stop_transcription');
    await client.next('transcription_stopped');
    expect(await shownName(Number(new URL(url).port))).toBe('gateway.example.com');
  });

  it('shows a renewed certificate to new connections, once it fits its key', async () => {
    const first = await makeCertificate('first');
    const second = await makeCertificate('second');
    const certificate = await Certificate.open(first.cert, first.key, createLogger('silent'), 10);
    open.push(certificate);
    const server = certificate.createServer((_, response) => response.end());
    open.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    expect(await shownName(port)).toBe('first');
    // Of two files one is always written first.
    copyFileSync(second.cert, first.cert);
    writeFileSync(first.key, 'half a key');
    expect(await shownName(port)).toBe('first');
    copyFileSync(second.key, first.key);
    await expect.poll(() => shownName(port)).toBe('second');
  });

  it('does not start with what is no certificate, and says which files', async () => {
    const { cert } = await makeCertificate('alone');
    const files = { GATEWAY_WORKERS: '1', GATEWAY_TLS_CERT_FILE: cert, GATEWAY_TLS_KEY_FILE: cert };
    const starting = startGateway(new CodedEngine(), files);
    await expect(starting).rejects.toThrow('GATEWAY_TLS_CERT_FILE and GATEWAY_TLS_KEY_FILE cannot be used');
  });
});
