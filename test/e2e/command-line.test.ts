import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { tone } from '../support/client.ts';
import { cli, killAll, occupyPort, serveGateway, startServe } from '../support/process.ts';
import { Feed, transcribe } from '../unit/emulator/sdk-client.ts';

afterEach(killAll);

const SCRIPTED = { GATEWAY_ENGINE: 'scripted' };

describe('stream', () => {
  it('prints finals alone, a line each, to a standard output that is no terminal', async () => {
    const gateway = await serveGateway(SCRIPTED);
    const stream = cli(['stream', '-', '--url', gateway.url, '--fast'], { input: tone(2500) });
    expect(await stream.exited).toBe(0);
    expect(stream.stdout()).toBe('second 1\nsecond 2\nsecond 3\n');
    expect(stream.stderr()).toContain('… second 1');
  });

  it.each([
    ['1', ['connected']],
    // Connections are the client library's own business.
    ['2', []],
  ])('prints events as JSON with protocol %s', async (protocol, before) => {
    const gateway = await serveGateway(SCRIPTED);
    const args = ['stream', '-', '--url', gateway.url, '--fast', '--json', '--protocol', protocol];
    const stream = cli(args, { input: tone(1000) });
    expect(await stream.exited).toBe(0);
    const events = stream
      .stdout()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events.map(({ event }) => event)).toEqual([
      ...before,
      'transcription_started',
      'transcription_result',
      'transcription_result',
      'transcription_stopped',
    ]);
    for (const event of events) expect('session_id' in event, String(event.event)).toBe(protocol === '2');
  });

  it('sends at the speed of speech unless told otherwise', async () => {
    const gateway = await serveGateway(SCRIPTED);
    const begin = performance.now();
    const stream = cli(['stream', '-', '--url', gateway.url], { input: tone(1500) });
    expect(await stream.exited).toBe(0);
    // Not a speed that the machine must reach: the sender must not be faster than the audio.
    expect(performance.now() - begin).toBeGreaterThan(1400);
  });

  it('sends far more than the gateway may hold, at its pace, without losing any', async () => {
    const gateway = await serveGateway({ ...SCRIPTED, GATEWAY_BACKLOG_MS: '3000' });
    const stream = cli(['stream', '-', '--url', gateway.url, '--fast'], { input: tone(60_000) });
    expect(await stream.exited).toBe(0);
    expect(stream.stdout().trim().split('\n')).toHaveLength(60);
  });

  it.each([
    ['a file that is not there', ['/nowhere.wav'], 2, /no such file/],
    ['no file', [], 2, /Name one file/],
    ['a file and the sample', ['x.wav', '--sample'], 2, /Name one file/],
    ['an unknown option', ['--loud'], 2, /unknown option/],
    ['both paces', ['x.wav', '--fast', '--realtime'], 2, /cannot be used with/],
    ['an unknown protocol', ['x.wav', '--protocol', '3'], 2, /Allowed choices are 1, 2/],
    ['no patience', ['x.wav', '--give-up-after', '0'], 2, /from 1 to 3600/],
    ['no URL', ['x.wav', '--url', 'nowhere'], 2, /http:\/\/localhost:5001/],
    ['a gateway that is not there', ['--sample', '--url', 'http://127.0.0.1:9'], 3, /Is the gateway running/],
  ])('says what is wrong with %s', async (_name, args, status, message) => {
    const stream = cli(['stream', ...args]);
    expect(await stream.exited).toBe(status);
    expect(stream.stderr()).toMatch(message);
    expect(stream.stdout()).toBe('');
  });

  it('exits with 1 when the gateway reports an error', async () => {
    const gateway = await serveGateway(SCRIPTED);
    const stream = cli(['stream', '--sample', '--url', gateway.url, '--language', 'xx-XX']);
    expect(await stream.exited).toBe(1);
    expect(stream.stderr()).toMatch(/unsupported_language.*en-US/);
  });

  it('exits with 3 when the gateway dies and the protocol has no resume', async () => {
    const gateway = await serveGateway(SCRIPTED);
    const stream = cli(['stream', '--sample', '--protocol', '1', '--url', gateway.url]);
    await stream.saw(/^second 1$/m);
    gateway.child.kill('SIGKILL');
    expect(await stream.exited).toBe(3);
    expect(stream.stderr()).toContain('connection was lost');
  });

  it('asks for the last finals when it is interrupted', async () => {
    const gateway = await serveGateway(SCRIPTED);
    const stream = cli(['stream', '--sample', '--json', '--url', gateway.url]);
    await stream.saw(/"is_partial":true/);
    stream.child.kill('SIGINT');
    expect(await stream.exited).toBe(130);
    expect(stream.stdout()).toMatch(/"event":"transcription_stopped".*"reason":"client_stop"/);
  });
});

describe('serve', () => {
  it('prints its URL, the engine, the admin port and a line to paste', async () => {
    const gateway = await serveGateway(SCRIPTED);
    await gateway.saw(/transcribe-gateway stream --sample/);
    const port = new URL(gateway.url).port;
    expect(gateway.stderr()).toContain(`http://localhost:${port}`);
    expect(gateway.stderr()).toContain(`http://localhost:${new URL(gateway.adminUrl).port}`);
    expect(gateway.stderr()).toMatch(/engine\s+scripted/);
    expect(gateway.stderr()).toContain(`npx transcribe-gateway stream --sample --url http://localhost:${port}`);
  });

  it('prints log lines alone in production', async () => {
    const gateway = await serveGateway({
      ...SCRIPTED,
      NODE_ENV: 'production',
      GATEWAY_AUTH_NONE_IN_PRODUCTION: 'yes',
    });
    gateway.child.kill('SIGTERM');
    expect(await gateway.exited).toBe(0);
    expect(gateway.stderr()).toBe('');
    for (const line of gateway.stdout().trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('msg');
  });

  it.each(['PORT', 'GATEWAY_ADMIN_PORT'])('names %s when its port is taken', async (variable) => {
    const { port, release } = await occupyPort();
    const serve = startServe({ ...SCRIPTED, [variable]: String(port) });
    expect(await serve.exited).toBe(1);
    expect(serve.stderr()).toContain(`Port ${port} on 127.0.0.1 is taken. Set ${variable} to a free port.`);
    await release();
  });

  it('names HOST when it is not an address of this machine', async () => {
    const serve = startServe({ ...SCRIPTED, HOST: '192.0.2.1' });
    expect(await serve.exited).toBe(1);
    expect(serve.stderr()).toContain('192.0.2.1 is not an address of this machine. Set HOST.');
  });

  it('exits with 2 and every fault of the configuration', async () => {
    const serve = cli(['serve'], { env: { PORT: 'x', GATEWAY_X: '1' } });
    expect(await serve.exited).toBe(2);
    expect(serve.stderr()).toMatch(/2 faults:\n {2}PORT="x".*\n {2}GATEWAY_X="1"/);
  });
});

describe('emulator', () => {
  it.each(['scripted', 'coded', 'local'])('runs with the recogniser %s until a signal ends it', async (recogniser) => {
    const emulator = cli(['emulator', '--recogniser', recogniser, '--admin-port', '0']);
    const [, admin] = await emulator.saw(/admin API is at (\S+)\.\n/);
    expect((await fetch(`${admin}/usage`)).status).toBe(200);
    emulator.child.kill('SIGTERM');
    expect(await emulator.exited).toBe(0);
  });

  it.each([
    ['half of TLS', ['--tls-cert', 'x.pem'], 2, /both --tls-cert and --tls-key/],
    ['files that are not there', ['--recogniser', 'coded', '--tls-cert', '/x', '--tls-key', '/y'], 1, /no such file/],
    ['no port', ['--port', 'x'], 2, /must be a port/],
    ['half of the credentials', ['--credentials', 'key'], 2, /KEY:SECRET/],
    ['a fault that it does not know', ['--fault', 'nap:0.1'], 2, /no fault "nap"/],
    ['latencies of an engine', ['--final-latency-ms', '5'], 2, /need --recogniser scripted or coded/],
  ])('says what is wrong with %s', async (_name, args, status, message) => {
    const emulator = cli(['emulator', ...args]);
    expect(await emulator.exited).toBe(status);
    expect(emulator.stderr()).toMatch(message);
  });

  it.each([
    ['--concurrent-streams', '0', 'LimitExceededException', /concurrent streams, 0/],
    ['--starts-per-second', '0', 'LimitExceededException', /starts per second, 0/],
    ['--silence-ms', '300', 'BadRequestException', /no new audio/],
    ['--max-age-ms', '300', 'LimitExceededException', /exceeds the limit/],
    ['--fault', 'exception:1,exception=ConflictException,message=As asked', 'ConflictException', /As asked/],
  ])('refuses a stream as %s %s says', async (option, value, error, message) => {
    const emulator = cli(['emulator', '--recogniser', 'scripted', option, value]);
    const [, url = ''] = await emulator.saw(/listens on (\S+),/);
    const audio = new Feed<Buffer>();
    audio.push(tone(100));
    const answer = await transcribe({ url, audio, client: { maxAttempts: 1 } });
    expect(answer).toMatchObject({ error, errorMessage: expect.stringMatching(message) });
  });

  it('shows its faults and the seed of its random choices', async () => {
    const rules = ['--fault', 'reset:0.01', '--fault', 'http_error:0.02,status=503'];
    const emulator = cli(['emulator', '--recogniser', 'scripted', '--admin-port', '0', ...rules]);
    await emulator.saw(/--seed \d+\./);
    const [, admin] = await emulator.saw(/admin API is at (\S+)\.\n/);
    expect(await (await fetch(`${admin}/faults`)).json()).toMatchObject({
      rules: [
        { fault: { kind: 'reset' }, rate: 0.01 },
        { fault: { kind: 'http_error', status: 503 }, rate: 0.02 },
      ],
    });
    const help = cli(['emulator', '--help']);
    expect(await help.exited).toBe(0);
    expect(help.stdout()).toMatch(/--fault <rule>[\s\S]*http_error +status/);
  });
});

describe('the other commands', () => {
  it('check-config tells faults by its exit status', async () => {
    expect(await cli(['check-config']).exited).toBe(0);
    expect(await cli(['check-config'], { env: { LOG_LEVEL: 'x' } }).exited).toBe(2);
  });

  it('print-env prints every setting', async () => {
    const print = cli(['print-env'], { env: { PORT: '6001' } });
    expect(await print.exited).toBe(0);
    expect(print.stdout()).toContain('PORT=6001');
  });

  it('prints help and version', async () => {
    const help = cli(['--help']);
    expect(await help.exited).toBe(0);
    expect(help.stdout()).toMatch(/serve[\s\S]*stream[\s\S]*check-config[\s\S]*print-env/);
    const version = cli(['--version']);
    expect(await version.exited).toBe(0);
    const { version: expected } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(version.stdout().trim()).toBe(expected);
  });

  it('refuses an unknown command', async () => {
    const unknown = cli(['listen']);
    expect(await unknown.exited).toBe(2);
    expect(unknown.stderr()).toContain("unknown command 'listen'");
  });
});
