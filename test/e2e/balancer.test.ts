import { afterEach, describe, expect, it } from 'vitest';
import { connect } from '../support/client.ts';
import { scripted, startGateway } from '../support/gateway.ts';

const open: { close(): unknown }[] = [];

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

describe('a gateway behind a load balancer', () => {
  it('names the connection in a cookie that no client keeps, for balancers that learn from answers', async () => {
    const gateway = await startGateway(scripted([]));
    open.push(gateway);
    const response = await fetch(`${gateway.url}/socket.io/?EIO=4&transport=polling`);
    const { sid } = JSON.parse((await response.text()).slice(1)) as { sid: string };
    expect(response.headers.getSetCookie()).toEqual([`io=${sid}; Max-Age=0; Path=/socket.io/; HttpOnly; SameSite=Lax`]);
  });

  it.each([
    ['0', '127.0.0.0/24'],
    ['1', '203.0.113.0/24'],
    ['2', '198.51.100.0/24'],
    ['3', '127.0.0.0/24'],
  ])(
    'takes the address of the client from X-Forwarded-For behind %s proxies, and logs its network',
    async (trusted, network) => {
      const gateway = await startGateway(scripted([]), { GATEWAY_TRUSTED_PROXIES: trusted });
      open.push(gateway);
      for (const transports of [['websocket'], ['polling']]) {
        const extraHeaders = { 'X-Forwarded-For': '198.51.100.7, 203.0.113.7' };
        const client = connect(gateway.url, { transports, extraHeaders });
        open.push(client);
        await client.next('connected');
      }
      // From workers they come a little later.
      const networks = () =>
        gateway.logs.flatMap(({ msg, client_network }) => (msg === 'client connected' ? [client_network] : []));
      await expect.poll(networks).toEqual([network, network]);
      expect(JSON.stringify(gateway.logs)).not.toMatch(/198\.51\.100\.7|203\.0\.113\.7/);
    },
  );
});
