import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setupMaster } from '@socket.io/sticky';
import type { FastifyInstance } from 'fastify';
import { createAdminServer, type Health, type Verdict } from '../admin/server.ts';
import { type DrainPace, listen } from '../app.ts';
import { type Config, SETTINGS } from '../config/schema.ts';
import { isSharedByWorkers } from '../engines/index.ts';
import { serverOptions } from '../http/limits.ts';
import type { Logger } from '../log.ts';
import { createEngineMetrics } from '../metrics/engine-metrics.ts';
import { type ClusterMetrics, createClusterMetrics } from '../metrics/metrics.ts';
import { Crew } from './crew.ts';
import { FleetMetrics } from './fleet-metrics.ts';
import { type SharedEngine, shareEngine } from './shared-engine.ts';

/** Beyond the drain deadline, which the workers keep themselves, before those that did not are killed, in milliseconds. */
const WORKER_OVERTIME_MS = 1_000;

/**
 * A gateway of several workers: accepts the connections and hands them to the workers, keeps these alive, and serves
 * health and metrics for them all. It also runs the engine that they share, if they do. It holds no sessions; of audio it
 * sees what the workers give to that engine, and the bodies of polling clients' requests, which sticky passes on.
 */
export class Primary implements Health {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #crew: Crew;
  readonly #ownMetrics: ClusterMetrics;
  readonly #metrics: FleetMetrics;
  readonly #server: Server;
  #status: 'starting' | 'serving' | 'draining' = 'starting';
  #admin: FastifyInstance | undefined;
  #engine: SharedEngine | undefined;
  #adminPort = 0;
  #closing: Promise<void> | undefined;

  private constructor(config: Config, log: Logger) {
    this.#config = config;
    this.#log = log;
    const { requestTimeoutMs } = config;
    // Sticky reads the headers, so that to Node a whole request that passes here is headers which do not end.
    this.#server = createServer(serverOptions({ headersTimeoutMs: requestTimeoutMs, requestTimeoutMs }));
    this.#crew = new Crew(config.workers, config.workerSilenceMs, log, {
      reported: (slot, metrics, request) => this.#metrics.reported(slot, metrics, request),
      exited: (slot) => this.#metrics.exited(slot),
    });
    this.#ownMetrics = createClusterMetrics();
    this.#metrics = new FleetMetrics(this.#ownMetrics, this.#crew);
  }

  /**
   * Starts everything; ready when it resolves.
   * @throws StartupError when a part cannot be started; what was started is closed again
   */
  static async start(config: Config, log: Logger): Promise<Primary> {
    const primary = new Primary(config, log);
    try {
      await primary.#start();
    } catch (error) {
      await primary.#crew.kill();
      await primary.#engine?.close();
      await primary.#admin?.close();
      throw error;
    }
    return primary;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? 0;
  }

  get adminPort(): number {
    return this.#adminPort;
  }

  get engineName(): string {
    return this.#crew.engineName;
  }

  get startup(): Verdict {
    return { ok: this.#status !== 'starting', status: this.#status };
  }

  /** A worker that is blocked is replaced here. What remains for a restart is a gateway that none serves for long. */
  get liveness(): Verdict {
    const isAlone = this.#status === 'serving' && this.#crew.idleMs > this.#config.workerSilenceMs;
    return isAlone ? { ok: false, status: 'no_worker' } : { ok: true, status: 'alive' };
  }

  /**
   * Ready while one worker serves and has room, or would have none anywhere: it takes what the gateway is sent. Those that
   * are gone are being replaced.
   */
  get readiness(): Verdict {
    if (this.#status !== 'serving') return { ok: false, status: this.#status };
    if (this.#crew.serving === 0) return { ok: false, status: 'no_worker' };
    return this.#crew.isWelcoming ? { ok: true, status: 'ready' } : { ok: false, status: 'full' };
  }

  /** Drains every worker, within the drain deadline. Idempotent. */
  close(pace: DrainPace = 'prompt'): Promise<void> {
    this.#closing ??= this.#drainAndClose(pace);
    return this.#closing;
  }

  async #start(): Promise<void> {
    const { adminHost, adminPort, host, port } = this.#config;
    this.#admin = createAdminServer(this.#metrics, this, this.#config);
    this.#adminPort = await listen(this.#admin, adminHost, adminPort, SETTINGS.adminPort.variable);
    if (isSharedByWorkers(this.#config)) {
      this.#engine = await shareEngine(this.#config, this.#log, createEngineMetrics(this.#ownMetrics.registry));
    }
    await this.#crew.start(this.#engine?.path);
    // Not by the fewest connections: many at once would all go to the same worker.
    setupMaster(this.#server, { loadBalancingMethod: 'round-robin' });
    this.#crew.watch(this.#server);
    this.#server.on('connection', (socket) => awaitFirstBytes(socket, this.#config.headersTimeoutMs));
    // Only now: what comes in before the workers are ready would be lost.
    await listen(nodeServer(this.#server), host, port, SETTINGS.port.variable);
    this.#status = 'serving';
    const { workers } = this.#config;
    this.#log.info({ port: this.port, admin_port: this.#adminPort, engine: this.engineName, workers }, 'gateway ready');
  }

  /** The server listens until the last worker has ended: until then clients are told `draining`. */
  async #drainAndClose(pace: DrainPace): Promise<void> {
    this.#status = 'draining';
    this.#log.info({ workers: this.#crew.serving }, 'drain begins');
    await this.#crew.drain(this.#config.drainTimeoutMs + WORKER_OVERTIME_MS, pace);
    // Not waited for: it also counts the connections that were handed over, and there is nobody left to ask.
    this.#server.close();
    this.#server.closeAllConnections();
    await this.#engine?.close();
    await this.#admin?.close();
    this.#log.info('gateway closed');
  }
}

/** Ends a connection that says nothing. After sticky's listener, which takes those away that were there before it. */
function awaitFirstBytes(socket: Socket, withinMs: number): void {
  socket.setTimeout(withinMs);
  socket.once('data', () => socket.setTimeout(0));
}

/** Node's server in the form of Fastify's, whose `listen` is a promise. */
function nodeServer(server: ReturnType<typeof createServer>): Parameters<typeof listen>[0] {
  return {
    server,
    listen: (options) =>
      new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(options, () => {
          server.off('error', reject);
          resolve();
        });
      }),
  };
}
