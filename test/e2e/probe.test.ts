import { afterEach, describe, expect, it } from 'vitest';
import { type ProbeReport, runProbe } from '../../src/cli/probe.ts';
import { ScriptedEngine } from '../../src/engines/scripted/scripted-engine.ts';
import { GatewayError } from '../../src/errors.ts';
import { SAMPLE_RATE } from '../../src/protocol/audio.ts';
import { tone } from '../support/client.ts';
import { scripted, startGateway, type TestGateway } from '../support/gateway.ts';
import { cli, killAll, serveGateway } from '../support/process.ts';
import { JWT_AUTH, signToken } from '../support/tokens.ts';

let gateway: TestGateway | undefined;

afterEach(async () => {
  killAll();
  await gateway?.release();
  gateway = undefined;
});

const OPTIONS = { token: undefined, language: 'en-US', timeoutMs: 20_000, expect: undefined };
const AUDIO_MS = 600;

/** What the probe of a gateway whose streams all do the same says, with audio that is shorter than the sample. */
async function probed(
  engine: Parameters<typeof startGateway>[0],
  options: Partial<Parameters<typeof runProbe>[0]> = {},
): Promise<ProbeReport> {
  // An engine that hangs would have all of it.
  gateway = await startGateway(engine, { GATEWAY_DRAIN_TIMEOUT_MS: '2000' });
  return runProbe({ ...OPTIONS, url: gateway.url, ...options }, audio());
}

async function* audio() {
  yield tone(AUDIO_MS);
}

const at = (ms: number) => (ms * SAMPLE_RATE) / 1000;
const WORDS: Parameters<typeof scripted>[0] = [
  { do: 'partial', atSample: at(200), text: 'hello' },
  { do: 'final', atSample: at(500), text: 'Hello, world.' },
];

describe('the probe', () => {
  it('finds words, and says how long they took but not what they were', async () => {
    const report = await probed(scripted(WORDS));
    expect(report).toMatchObject({ outcome: 'ok', code: null, finals: 1, lost_ms: 0, retries: 0 });
    const { connect_ms, final_latency_ms, first_final_ms, first_partial_ms, total_ms } = report;
    const times = [connect_ms, final_latency_ms, first_final_ms, first_partial_ms, total_ms];
    expect(times.filter((ms) => Number.isInteger(ms))).toEqual(times);
    expect(first_partial_ms).toBeLessThanOrEqual(first_final_ms ?? 0);
    expect(first_final_ms).toBeLessThanOrEqual(total_ms);
    expect(JSON.stringify(report).toLowerCase()).not.toContain('hello');
  });

  it.each([
    ['words that it expects, however they are punctuated', { expect: 'hello world' }, WORDS, 'ok', null],
    ['other words than it expects', { expect: 'hello word' }, WORDS, 'wrong_words', null],
    ['no words', {}, [], 'no_words', null],
    ['a language that the gateway does not know', { language: 'xx-XX' }, WORDS, 'refused', 'unsupported_language'],
    [
      'an engine that gives up',
      {},
      [{ do: 'fail', atSample: at(300), error: new GatewayError('engine_rejected', 'No.') }],
      'refused',
      'engine_rejected',
    ],
    ['an engine that hangs', { timeoutMs: 1_500 }, [{ do: 'hang', atSample: at(100) }], 'timeout', null],
  ] as const)('tells %s', async (_name, options, steps, outcome, code) => {
    expect(await probed(scripted(steps), options)).toMatchObject({ outcome, code });
  });

  it('gets over a fault that passes, and counts it', async () => {
    const busy = new GatewayError('engine_unavailable', 'Full.');
    const engine = new ScriptedEngine({
      script: (nth) => ({
        ...(nth === 0 && { open: { error: busy } }),
        steps: [{ do: 'final', atSample: at(500), text: 'yes' }],
      }),
    });
    expect(await probed(engine)).toMatchObject({ outcome: 'ok', retries: 1 });
  });
});

describe('transcribe-gateway probe', () => {
  it('speaks the bundled sample, prints one line of JSON and exits with 0', async () => {
    const { url } = await serveGateway({ ...JWT_AUTH, GATEWAY_ENGINE: 'scripted' });
    const env = { TRANSCRIBE_GATEWAY_TOKEN: await signToken() };
    const probe = cli(['probe', '--url', url, '--expect', 'second 12'], { env });
    expect(await probe.exited, probe.stderr()).toBe(0);
    expect(probe.stdout().trim().split('\n')).toHaveLength(1);
    expect(JSON.parse(probe.stdout())).toMatchObject({ outcome: 'ok', finals: 13 });
    expect(probe.stderr()).toBe('');
  });

  it('exits with 1 where it is not let in, and names the code', async () => {
    const { url } = await serveGateway({ ...JWT_AUTH, GATEWAY_ENGINE: 'scripted' });
    const probe = cli(['probe', '--url', url, '--token', 'wrong']);
    expect(await probe.exited).toBe(1);
    expect(JSON.parse(probe.stdout())).toMatchObject({ outcome: 'refused', code: 'unauthorized', connect_ms: null });
    expect(probe.stderr()).toContain('unauthorized');
  });

  it('exits with 3 where nothing answers in time', async () => {
    const probe = cli(['probe', '--url', 'http://127.0.0.1:9', '--timeout-ms', '1000']);
    expect(await probe.exited).toBe(3);
    expect(JSON.parse(probe.stdout())).toMatchObject({ outcome: 'unreachable', code: 'unreachable', finals: 0 });
    expect(probe.stderr()).toContain('Cannot reach http://127.0.0.1:9 within 1000 ms.');
  });

  it.each([
    ['no time', ['--timeout-ms', '0'], /from 1 to 3600000/],
    ['half a millisecond', ['--timeout-ms', '0.5'], /whole milliseconds/],
    ['no URL', ['--url', 'nowhere'], /http:\/\/localhost:5001/],
  ])('exits with 2 for %s', async (_name, args, message) => {
    const probe = cli(['probe', ...args]);
    expect(await probe.exited).toBe(2);
    expect(probe.stderr()).toMatch(message);
  });
});
