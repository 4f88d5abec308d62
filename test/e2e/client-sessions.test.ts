import { afterEach, describe, expect, it } from 'vitest';
import type { SessionInfo } from '../../src/client/index.ts';
import { silence } from '../support/client.ts';
import { type ModelOptions, ProtocolModel } from '../support/protocol-model.ts';
import { recorded } from '../unit/client/spoken.ts';

const open: { close(): unknown }[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

/** A client, and the sessions that it told of. */
async function clientOf(options: ModelOptions = {}) {
  const model = await ProtocolModel.listen(options);
  const { client } = recorded({ url: model.url });
  const told: SessionInfo[] = [];
  client.on('session', (session) => told.push(session));
  open.push(client, model);
  return { client, model, told };
}

describe('the session event', () => {
  it('names each session as the log of the gateway does, and says whether it is the one before', async () => {
    const { client, model, told } = await clientOf();
    await client.start();
    model.cut();
    await expect.poll(() => told.length).toBe(2);
    model.forget();
    // What is kept needs a session; without any audio the stop would end with none.
    client.send(silence(500));
    await expect.poll(() => told.length).toBe(3);
    await client.stop();
    expect(told).toMatchObject([
      { id: told[0]?.id, resumed: false, languageCode: 'en-US', engine: 'coded' },
      { id: told[0]?.id, resumed: true },
      { resumed: false, languageCode: 'en-US', engine: 'coded' },
    ]);
    expect(told[0]?.id).toEqual(expect.any(String));
    expect(told[2]?.id).not.toBe(told[0]?.id);
  });

  it('calls a session new that was only queued on an earlier connection', async () => {
    const { client, model, told } = await clientOf({ start: () => 'queue' });
    const queued = new Promise((resolve) => client.once('queued', resolve));
    const started = client.start();
    await queued;
    model.cut();
    await started;
    expect(told).toMatchObject([{ resumed: false }]);
  });
});
