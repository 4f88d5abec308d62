/** The same streaming cases on the stock path and on ours, against the emulator, which verifies every frame. */
import { readFileSync } from 'node:fs';
import type { Result, TranscribeStreamingClientConfig } from '@aws-sdk/client-transcribe-streaming';
import { afterEach, describe, expect, it } from 'vitest';
import { type Emulator, startEmulator } from '../../../../../src/emulator/emulator.ts';
import type { FaultRule } from '../../../../../src/emulator/faults.ts';
import type { EmulatorOptions } from '../../../../../src/emulator/options.ts';
import { fastFramePath } from '../../../../../src/engines/aws/frames/frame-path.ts';
import { audioChunks, codedAudio } from '../../../../support/coded-audio.ts';
import { isClean, reconcile } from '../../../../support/reconcile.ts';
import { type Answer, eventually, Feed, transcribe } from '../../../emulator/sdk-client.ts';

const AUDIO = codedAudio({ utterances: 4, blocks: { min: 10, max: 40 }, silentBlocks: { min: 20, max: 40 } });

const PATHS: readonly [string, Partial<TranscribeStreamingClientConfig>][] = [
  ['stock', {}],
  ['fast', fastFramePath()],
];

let emulator: Emulator | undefined;

afterEach(async () => {
  await emulator?.close();
  emulator = undefined;
});

async function start(options: Partial<EmulatorOptions> = {}): Promise<Emulator> {
  emulator = await startEmulator({
    recogniser: { kind: 'coded', latency: { partialMs: 0, finalMs: { min: 0, max: 0 } } },
    ...options,
  });
  return emulator;
}

function speak(url: string, client: Partial<TranscribeStreamingClientConfig>): Promise<Answer> {
  return transcribe({
    url,
    audio: audioChunks(AUDIO.pcm),
    client: { disableClockSkewCorrection: true, ...client },
  });
}

/** What the emulator draws by lot is left out. */
function comparable({ results, response, ...rest }: Answer): object {
  const known = { ...response, SessionId: undefined, RequestId: undefined, $metadata: undefined };
  return { ...rest, response: known, results: results.map((result: Result) => ({ ...result, ResultId: undefined })) };
}

function expectClean(answer: Answer): void {
  expect(answer.error).toBe('none');
  const account = reconcile({ expected: AUDIO.blocks, finals: answer.finals, gaps: [] });
  expect(isClean(account)).toBe(true);
}

describe('the stock and the fast frame path', () => {
  it.each(['cleartext', 'TLS'])('give the same answer for the same audio over %s', async (transport) => {
    const read = (name: string) => readFileSync(new URL(`../../../../fixtures/emulator/${name}`, import.meta.url));
    const tls = { cert: read('cert.pem'), key: read('key.pem') };
    const { url } = await start(transport === 'TLS' ? { tls } : {});
    const requestHandler = { nodeHttp2ConnectOptions: { ca: tls.cert } };
    const answers: Answer[] = [];
    for (const [, client] of PATHS) answers.push(await speak(url, { ...client, requestHandler }));
    for (const answer of answers) expectClean(answer);
    const [stock, fast] = answers.map((answer) => comparable(answer));
    expect(fast).toStrictEqual(stock);
    expect(emulator?.streams().map((stream) => stream.outcome)).toEqual(['completed', 'completed']);
  });

  describe.each(PATHS)('the %s path', (name, client) => {
    it('streams with a session token and with credentials that rotate', async () => {
      const keys = ['first', 'second', 'third'];
      const credentials = keys.map((key) => ({
        accessKeyId: key,
        secretAccessKey: `secret of ${key}`,
        sessionToken: 'token',
      }));
      const { url } = await start({ credentials });
      let current = credentials[0];
      const provider = async () => {
        if (current === undefined) throw new Error('no credentials are left');
        return { ...current, expiration: new Date(Date.now() + 1000) };
      };
      const rotating = { ...client, credentials: provider };
      // The second stream starts with new credentials, and they change again while it runs.
      expectClean(await speak(url, rotating));
      current = credentials[1];
      const feed = new Feed<Buffer>();
      const running = transcribe({ url, audio: feed, client: { ...rotating, disableClockSkewCorrection: true } });
      const chunks = [...audioChunks(AUDIO.pcm)];
      feed.push(...chunks.slice(0, 10));
      await eventually(() => expect(feed.pulled).toBe(10));
      current = credentials[2];
      feed.push(...chunks.slice(10));
      feed.end();
      expectClean(await running);
      expect(emulator?.streams().map((stream) => stream.accessKeyId)).toEqual(['second', 'first']);
    });

    it('is not led astray by the clock of the service', async () => {
      const { url, addFault } = await start();
      addFault({ fault: { kind: 'clock_skew', skewMs: 3_600_000 }, next: 2 });
      const feed = new Feed<Buffer>();
      const running = transcribe({ url, audio: feed, client: { ...client, disableClockSkewCorrection: true } });
      const chunks = [...audioChunks(AUDIO.pcm)];
      feed.push(...chunks.slice(0, 10));
      await eventually(() => expect(emulator?.streams()[0]?.audioEvents).toBe(10));
      feed.push(...chunks.slice(10));
      feed.end();
      expectClean(await running);
      expectClean(await speak(url, client));
    });

    it('has the exception of the service by name and message', async () => {
      const { url, addFault } = await start();
      addFault({ fault: { kind: 'exception', exception: 'LimitExceededException', afterAudioMs: 1000 }, next: 1 });
      const answer = await speak(url, client);
      expect(answer).toMatchObject({
        error: 'LimitExceededException',
        errorMessage: 'A fault was injected by the emulator.',
      });
      expect(answer.events).toBeGreaterThan(0);
    });

    it('has the refusal of a start over the quota by name, as an exception frame and as an HTTP error', async () => {
      for (const quotaRefusal of ['frame', 'http'] as const) {
        const { url, close } = await start({ quotaRefusal, limits: { concurrentStreams: 0 } });
        const { error, response, status } = await speak(url, client);
        expect(error).toBe('LimitExceededException');
        if (quotaRefusal === 'http') expect(status).toBe(429);
        // By the fast path the answer was taken before its first frame was seen.
        expect(response !== undefined).toBe(name === 'fast' && quotaRefusal === 'frame');
        await close();
      }
    });
  });

  const BREAKS: readonly [FaultRule['fault'], string][] = [
    [{ kind: 'reset' }, 'Error'],
    [{ kind: 'reset', code: 8 }, 'none'],
    [{ kind: 'disconnect' }, 'none'],
    [{ kind: 'early_end' }, 'none'],
    [{ kind: 'goaway', code: 2 }, 'Error'],
    [{ kind: 'truncated_frame' }, 'Error'],
    [{ kind: 'corrupt_frame' }, 'Error'],
  ];

  it.each(BREAKS)('tell of %o, which ends the stock path with %s', async (fault, stockError) => {
    const { url, addFault } = await start();
    /** Audio without an end, so that only the fault ends the stream. */
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) {
        for (const chunk of audioChunks(AUDIO.pcm)) {
          yield chunk;
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
    }
    const run = (client: Partial<TranscribeStreamingClientConfig>) => {
      let struck = false;
      const strike = () => {
        if (!struck) addFault({ fault, running: true });
        struck = true;
      };
      return transcribe({
        url,
        audio: endless(),
        client: { ...client, disableClockSkewCorrection: true },
        onResult: strike,
      });
    };
    expect((await run(fastFramePath())).error).toBe('FrameError');
    expect((await run({})).error).toBe(stockError);
  });

  it('go on after a GOAWAY without an error', async () => {
    const { url, addFault } = await start();
    addFault({ fault: { kind: 'goaway', afterAudioMs: 1000 }, next: 2 });
    for (const [, client] of PATHS) expectClean(await speak(url, client));
  });

  it('wait for a first event that is late', async () => {
    const { url, addFault } = await start();
    addFault({ fault: { kind: 'late_first_event', delayMs: 200 }, next: 2 });
    for (const [, client] of PATHS) expectClean(await speak(url, client));
  });

  it('send to a service that reads slowly without losing audio', async () => {
    const { url, addFault } = await start();
    addFault({ fault: { kind: 'slow_reader', bytesPerSecond: 2_000_000 }, next: 2 });
    for (const [, client] of PATHS) expectClean(await speak(url, client));
  });
});
