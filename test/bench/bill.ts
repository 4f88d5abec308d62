/**
 * What trimmed silence saves, and what it costs in words: the same conversation, 40% of it silence, by a relay that sends
 * every sample and by a gateway that trims, to an emulator that bills as Amazon Transcribe and hears by the local engine.
 *
 *     node test/bench/bill.ts [--rounds 2] [--gain 0,-15,-25] [--noise -58]
 *
 * Each gain is a conversation of its own, in real time, all at once. Ends with 1 when the gateway is billed more than 0.8
 * of what the relay is.
 */
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { startEmulator } from '../../src/emulator/emulator.ts';
import { LocalEngine } from '../../src/engines/local/local-engine.ts';
import { STOCK_KEY, stockRelay, trimmedSession } from '../support/bill.ts';
import { conversation } from '../support/conversation.ts';
import { killAll, serveGateway, toEmulator } from '../support/process.ts';
import { wordErrorRate } from '../support/words.ts';

const MOST = 0.8;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '2' },
    gain: { type: 'string', default: '0,-15,-25' },
    noise: { type: 'string', default: '-58' },
  },
});

const engine = await LocalEngine.start({ languageCode: 'en-US', log: pino({ level: 'silent' }) });
const emulator = await startEmulator({
  recogniser: { kind: 'engine', engine },
  credentials: [STOCK_KEY, { accessKeyId: 'test', secretAccessKey: 'test' }],
});
const gateway = await serveGateway({ ...toEmulator(emulator.url), GATEWAY_SILENCE_TRIMMING_TENANTS: '*' });
const billedTo = (key: string) => emulator.usage().accounts[`${key}/us-east-1`]?.billedSeconds ?? 0;

const measured = await Promise.all(
  values.gain.split(',').map(async (gain) => {
    const options = {
      silentShare: 0.4,
      rounds: Number(values.rounds),
      gain: Number(gain),
      noise: Number(values.noise),
    };
    const { pcm, silentShare, text } = conversation(options);
    const [stock, finals] = await Promise.all([stockRelay(emulator.url, pcm), trimmedSession(gateway.url, pcm)]);
    const trimmed = finals.map((final) => final.text).join(' ');
    const [stockError, trimmedError] = [wordErrorRate(text, stock), wordErrorRate(text, trimmed)];
    return { gain, seconds: pcm.length / 32_000, silentShare, stockError, trimmedError };
  }),
);

for (const { gain, seconds, silentShare, stockError, trimmedError } of measured) {
  console.log(
    `${seconds.toFixed(0)} s of speech at ${gain} dB, ${(silentShare * 100).toFixed(0)}% silence at ${values.noise} dB: ` +
      `word error rate ${stockError.toFixed(3)} by the relay, ${trimmedError.toFixed(3)} trimmed`,
  );
}
const [stock, trimmed] = [billedTo('stock'), billedTo('test')];
console.log(`billed: ${stock} s to the relay, ${trimmed} s to the gateway, ${(trimmed / stock).toFixed(2)} of it`);
killAll();
await emulator.close();
await engine.close();
process.exit(stock > 0 && trimmed <= MOST * stock ? 0 : 1);
