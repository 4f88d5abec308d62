import { expect, it } from 'vitest';
import { scripted, startGateway } from '../support/gateway.ts';

it('a gateway names the connection in a cookie that no client keeps, for balancers that learn from it', async () => {
  const gateway = await startGateway(scripted([]));
  const response = await fetch(`${gateway.url}/socket.io/?EIO=4&transport=polling`);
  const { sid } = JSON.parse((await response.text()).slice(1)) as { sid: string };
  expect(response.headers.getSetCookie()).toEqual([`io=${sid}; Max-Age=0; Path=/socket.io/; HttpOnly; SameSite=Lax`]);
  await gateway.close();
});
