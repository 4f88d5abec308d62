import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, emitWithAck, type TestClient, tone } from '../support/client.ts';
import { DASHBOARDS, dataPanels } from '../support/dashboards.ts';
import { childrenOf, cli, killAll, type ServedGateway, serveGateway, toEmulator } from '../support/process.ts';
import { NO_PROMETHEUS, Prometheus, type Series } from '../support/prometheus.ts';
import { NO_REDIS, RedisServer } from '../support/redis.ts';

const SPEAKERS = 6;
const CHUNK_MS = 100;
const CHUNKS = 15;
/** Several programs start one after the other. */
const STARTED_MS = 90_000;
const ALL_SEEN_MS = 90_000;

/** What the emulator does to streams, so that there is something to see in the panels of what goes wrong. */
const FAULTS = [
  'http_error:0.2,status=503',
  'reset:0.3,afterAudioMs=300-1000',
  // Nothing more is said, not even the last final, which is given up after a while and reported as lost.
  'silence:0.3,afterAudioMs=200-800',
];
const IMPATIENT = {
  GATEWAY_FLUSH_TIMEOUT_MS: '500',
  GATEWAY_START_TIMEOUT_MS: '2000',
  GATEWAY_RECOVERY_TIMEOUT_MS: '1000',
};

/** What shows nothing but 0 while all is well, as it is here. */
const QUIET = ['Gateways not answering', 'Gateways draining', 'Streams of the quota', 'Sessions in the line'];

/** Speaks one session after the other, each with a viewer, until told to stop. Whatever fails is what is to be seen. */
class Speaker {
  readonly #url: string;
  readonly #protocol: 1 | 2;
  #isOver = false;
  readonly #done: Promise<void>;

  constructor(url: string, protocol: 1 | 2) {
    this.#url = url;
    this.#protocol = protocol;
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const clients: TestClient[] = [];
      await this.#session(clients).catch(() => undefined);
      for (const client of clients) client.close();
    }
  }

  async #session(clients: TestClient[]): Promise<void> {
    const speaker = this.#connect(clients);
    await speaker.next('connected', 5_000);
    // No session has begun: an error for the panel of errors.
    speaker.socket.emit('audio_chunk', { chunk: tone(CHUNK_MS) });
    const options = this.#protocol === 2 ? { acks: true, start_key: crypto.randomUUID(), attempt: 1 } : {};
    speaker.socket.emit('start_transcription', options);
    const { session_id, watch_token } = await speaker.next('transcription_started', 5_000);
    if (this.#protocol === 2) {
      const viewer = this.#connect(clients);
      await viewer.next('connected', 5_000);
      await emitWithAck(viewer, 'watch_transcription', { session_id, watch_token, after_seq: 0 });
    }
    for (let seq = 1; seq <= CHUNKS; seq++) {
      speaker.socket.emit('audio_chunk', { chunk: tone(CHUNK_MS), seq });
      await delay(CHUNK_MS);
    }
    speaker.socket.emit('stop_transcription');
    await speaker.next('transcription_stopped', 5_000);
  }

  #connect(clients: TestClient[]): TestClient {
    const client = connect(this.#url, { auth: { protocol: this.#protocol }, transports: ['websocket'] });
    clients.push(client);
    return client;
  }
}

/** The panel that shows a blocked worker. */
const BLOCKED = 'Workers not answering';

function isEmpty(series: readonly Series[], mayBeQuiet: boolean): boolean {
  const values = series.flatMap((one) => one.values.map(([, value]) => Number(value)));
  return !values.some((value) => Number.isFinite(value) && (mayBeQuiet || value !== 0));
}

describe.skipIf(NO_REDIS || NO_PROMETHEUS)('a Prometheus that scrapes a gateway under load', () => {
  let gateway: ServedGateway;
  let prometheus: Prometheus;
  /** What has been started, to be closed in reverse order. */
  const closers: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    const faults = FAULTS.flatMap((fault) => ['--fault', fault]);
    const emulator = cli([
      'emulator',
      '--port',
      '0',
      '--recogniser',
      'scripted',
      '--final-latency-ms',
      '100',
      ...faults,
    ]);
    const redis = await RedisServer.start();
    closers.push(() => redis.stop());
    const [, endpoint = ''] = await emulator.saw(/listens on (\S+),/);
    gateway = await serveGateway({
      ...IMPATIENT,
      ...toEmulator(endpoint),
      GATEWAY_WORKERS: '2',
      REDIS_URL: redis.url,
    });
    prometheus = await Prometheus.start([gateway.adminUrl]);
    closers.push(() => prometheus.stop());
    const speakers = Array.from({ length: SPEAKERS }, (_, n) => new Speaker(gateway.url, n % 2 === 0 ? 2 : 1));
    closers.push(() => Promise.all(speakers.map((speaker) => speaker.stop())));
  }, STARTED_MS);

  afterAll(async () => {
    for (const close of closers.splice(0).reverse()) await close();
    killAll();
  });

  const queries = DASHBOARDS.flatMap(([file, dashboard]) =>
    dataPanels(dashboard).flatMap(({ targets = [], title }) =>
      targets.map(({ expr, refId }) => ({ name: `${file}: ${title} ${refId}`, title, expr })),
    ),
  );

  it('has data for every query of every panel', async () => {
    const [victim = 0] = childrenOf(gateway.child.pid ?? 0);
    const empty = async (asked: typeof queries) => {
      const answers = await Promise.all(
        asked.map(async ({ expr, name, title }) => {
          const query = expr.replaceAll('$__rate_interval', '10s').replaceAll('$job', '.+');
          return isEmpty(await prometheus.range(query), QUIET.includes(title)) ? [name] : [];
        }),
      );
      return answers.flat();
    };
    const poll = { timeout: ALL_SEEN_MS, interval: 1_000 };
    // A worker that dies is replaced between two scrapes; one that is blocked stays so until it is seen.
    process.kill(victim, 'SIGSTOP');
    await expect.poll(() => empty(queries.filter(({ title }) => title === BLOCKED)), poll).toEqual([]);
    process.kill(victim, 'SIGKILL');
    await expect.poll(() => empty(queries), poll).toEqual([]);
  });

  it('finds a query empty that asks for what is not there, or cannot be read', async () => {
    expect(isEmpty(await prometheus.range('transcribe_gateway_sesions'), true)).toBe(true);
    expect(isEmpty(await prometheus.range('vector(0)'), false)).toBe(true);
    await expect(prometheus.range('sum(')).rejects.toThrow('parse error');
  });
});
