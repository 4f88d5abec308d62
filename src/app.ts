import type { AddressInfo, Server as NetServer } from 'node:net';
import { createAdminServer, type Health, type Verdict } from './admin/server.ts';
import { openDoor } from './auth/index.ts';
import { OriginPolicy } from './auth/origin-policy.ts';
import { type Config, SETTINGS } from './config/schema.ts';
import type { Engine } from './engines/engine.ts';
import { startEngine } from './engines/index.ts';
import { armFailpoints, parseFailpoints } from './failpoints.ts';
import { Certificate } from './http/certificate.ts';
import { createHttpServer } from './http/server.ts';
import { Budgets } from './limits/budgets.ts';
import { DoorLimits } from './limits/door-limits.ts';
import { LeaseKeeper } from './limits/lease-keeper.ts';
import { loadOfThisProcess } from './limits/load.ts';
import { LoadShedder } from './limits/load-shedder.ts';
import { SessionPlaces } from './limits/session-places.ts';
import { Vacancy } from './limits/vacancy.ts';
import type { Logger } from './log.ts';
import { collectProcessMetrics, createMetrics, type Metrics } from './metrics/metrics.ts';
import type { LimitName } from './protocol/limit-codes.ts';
import { SessionRegistry } from './session/registry.ts';
import { SocketGateway, type SocketServer } from './socket/gateway.ts';
import { PodBus } from './socket/pod-bus.ts';
import { openPubSub, openStore } from './store/index.ts';
import type { StoreBounds } from './store/store.ts';

/** Of the drain deadline, what is kept for closing servers after the last session, in milliseconds. */
const CLOSING_MS = 1_000;
/**
 * Of the rest, the share over which clients are sent off, and the share that each has to go. What is left is for the
 * finals of the last ones, which an engine may take seconds for.
 */
const SPREAD_SHARE = 0.65;
const GRACE_SHARE = 0.15;

/**
 * How a gateway drains: `even` sends its clients off one after the other, so that other gateways can take them; `prompt`
 * all at once, because somebody waits for it to end.
 */
export type DrainPace = 'even' | 'prompt';

/** A fault of the installation or its surroundings that the operator can mend; the message says how. */
export class StartupError extends Error {
  override readonly name = 'StartupError';
}

/** Replaces parts of the gateway, for tests. */
export interface AppParts {
  readonly startEngine?: typeof startEngine;
  readonly worker?: WorkerRole;
}

/** What is different in a worker of a cluster: it opens no port, for the primary has both. */
interface WorkerRole {
  /** Gives the server the connections that the primary accepts. */
  readonly takeConnections: (server: SocketServer) => void;
}

/** The whole gateway: every part is built and wired here, and closed here in order. */
export class App implements Health {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  #status: 'starting' | 'ready' | 'draining' = 'starting';
  #closing: Promise<void> | undefined;
  /** What has been started, to be closed in reverse order. */
  readonly #steps: { readonly name: string; readonly close: () => Promise<void> }[] = [];
  #registry: SessionRegistry | undefined;
  #gateway: SocketGateway | undefined;
  #engine: Engine | undefined;
  #vacancy: Vacancy | undefined;
  #port = 0;
  #adminPort = 0;

  private constructor(config: Config, log: Logger) {
    this.#config = config;
    this.#log = log;
    this.#metrics = createMetrics();
  }

  /**
   * Starts everything; ready when it resolves. The admin server comes first, so that probes are answered meanwhile.
   * @throws StartupError or GatewayError when a part cannot be started; what was started is closed again
   */
  static async start(config: Config, log: Logger, parts: AppParts = {}): Promise<App> {
    const app = new App(config, log);
    try {
      await app.#start(parts);
    } catch (error) {
      await app.close();
      throw error;
    }
    return app;
  }

  /** Port that clients connect to. */
  get port(): number {
    return this.#port;
  }

  get adminPort(): number {
    return this.#adminPort;
  }

  get engineName(): string {
    return this.#engine?.capabilities.name ?? 'none';
  }

  /** Every metric as it is now, for whoever sums over several processes. */
  metricsSnapshot(): ReturnType<Metrics['registry']['getMetricsAsJSON']> {
    return this.#metrics.registry.getMetricsAsJSON();
  }

  get startup(): Verdict {
    return { ok: this.#status !== 'starting', status: this.#status };
  }

  /** A process that is blocked gives no answer at all. One that leaves audio lying does not mend that by itself. */
  get liveness(): Verdict {
    return this.#registry?.isStuck === true ? { ok: false, status: 'stuck' } : { ok: true, status: 'alive' };
  }

  get readiness(): Verdict {
    if (this.#status === 'ready' && this.#vacancy?.stepsBack === true) return { ok: false, status: 'full' };
    return { ok: this.#status === 'ready', status: this.#status };
  }

  /**
   * Drains and closes: not ready at once, no new sessions, clients sent off with their last finals, then servers and the
   * engine, all within the drain deadline. A step that fails does not skip the next. Idempotent.
   */
  close(pace: DrainPace = 'prompt'): Promise<void> {
    this.#closing ??= this.#drainAndClose(pace);
    return this.#closing;
  }

  async #start(parts: AppParts): Promise<void> {
    const config = this.#config;
    const metrics = this.#metrics;
    collectProcessMetrics(metrics);
    if (config.failpoints !== undefined) {
      armFailpoints(parseFailpoints(config.failpoints));
      this.#log.warn('failpoints are armed: this process kills itself');
    }

    if (parts.worker === undefined) {
      const admin = createAdminServer(metrics.registry, this, config);
      this.#steps.push({ name: 'admin server', close: () => admin.close() });
      this.#adminPort = await listen(admin, config.adminHost, config.adminPort, SETTINGS.adminPort.variable);
    }

    const { leases, ledger, makeRate, openQuota, store } = await openStore(
      config,
      storeBounds(config),
      this.#log,
      (call, seconds) => {
        if (seconds === undefined) metrics.storeFailuresTotal.inc({ call });
        else metrics.storeCallSeconds.observe({ call }, seconds);
      },
    );
    this.#steps.push({ name: 'store', close: () => store.close() });
    const storeState = (available: boolean) => metrics.storeAvailable.set(available ? 1 : 0);
    storeState(store.available);
    store.onAvailability(storeState);

    const refused = (limit: LimitName) => metrics.limitRefusalsTotal.inc({ limit });
    const engine = await (parts.startEngine ?? startEngine)(config, this.#log, metrics, { openQuota, refused });
    this.#engine = engine;
    this.#steps.push({ name: 'engine', close: () => engine.close() });

    const keeper = new LeaseKeeper({ leases, metrics, ttlMs: config.leaseMs, log: this.#log });
    this.#steps.push({ name: 'leases', close: () => keeper.close() });
    const budgets = new Budgets({ ledger, bounds: config, metrics, log: this.#log });
    this.#steps.push({ name: 'budgets', close: () => budgets.close() });

    const shedder = new LoadShedder({
      load: loadOfThisProcess(config.workers),
      bounds: config,
      metrics,
      log: this.#log,
    });
    this.#steps.push({ name: 'load', close: async () => shedder.close() });

    const limits = {
      ...config,
      journal: { pendingEntries: config.storeOutageEntries, tailEntries: config.journalEntries },
    };
    const pubSub = await openPubSub(config, (isLost) =>
      metrics.liveMessagesTotal.inc({ outcome: isLost ? 'lost' : 'published' }),
    );
    this.#steps.push({ name: 'live messages', close: async () => pubSub?.close() });
    const bus = new PodBus(pubSub, config.redisPrefix);
    this.#steps.push({ name: 'rooms', close: () => bus.close() });
    const registry = new SessionRegistry({
      engine,
      store,
      audience: bus,
      tellClaim: (sessionId, epoch) => bus.tellClaim(sessionId, epoch),
      isShared: config.redisUrl !== undefined,
      places: new SessionPlaces(keeper, config, metrics),
      assertRoom: () => shedder.assertRoom(),
      budgets,
      limits,
      metrics,
      log: this.#log,
    });
    this.#registry = registry;
    bus.notify(registry);
    this.#steps.push({ name: 'sessions', close: async () => registry.close() });

    const door = await openDoor(config, this.#log);
    this.#steps.push({ name: 'door', close: async () => door.authenticator.close() });
    const certificate = await openCertificate(config, this.#log);
    this.#steps.push({ name: 'certificate', close: async () => certificate?.close() });
    // In development pages of every origin are let in, as with the original server.
    const { allowedOrigins = config.environment === 'production' ? [] : ['*'], trustedProxies } = config;
    const origins = new OriginPolicy(allowedOrigins, trustedProxies > 0);
    const doors = new DoorLimits({ keeper, makeRate, bounds: config, metrics });
    const isHandedConnections = parts.worker !== undefined;
    const http = await createHttpServer({
      door,
      doors,
      trustedProxies,
      budgets,
      origins,
      certificate,
      times: config,
      metrics,
      isHandedConnections,
      log: this.#log,
    });
    this.#steps.push({ name: 'http server', close: () => http.close() });
    await http.ready();
    const gateway = new SocketGateway({
      http: http.server,
      registry,
      engine,
      limits: config,
      store,
      bus,
      authenticator: door.authenticator,
      doors,
      origins,
      trustedProxies,
      metrics,
      log: this.#log,
    });
    this.#gateway = gateway;
    this.#steps.push({ name: 'sockets', close: () => gateway.close() });
    const vacancy = new Vacancy({
      leases,
      isFull: () => shedder.isShedding || engine.isFull === true,
      tiedConnections: () => gateway.pollers,
      metrics,
      log: this.#log,
    });
    this.#vacancy = vacancy;
    this.#steps.push({ name: 'vacancy', close: () => vacancy.close() });
    if (parts.worker !== undefined) {
      gateway.handTo(parts.worker.takeConnections);
      this.#status = 'ready';
      this.#log.info({ engine: this.engineName, worker_pid: process.pid }, 'worker ready');
      return;
    }
    this.#port = await listen(http, config.host, config.port, SETTINGS.port.variable);

    this.#status = 'ready';
    const facts = { port: this.#port, admin_port: this.#adminPort, engine: this.engineName };
    this.#log.info(facts, 'gateway ready');
  }

  async #drainAndClose(pace: DrainPace): Promise<void> {
    this.#status = 'draining';
    void this.#vacancy?.close();
    if (this.#registry !== undefined) {
      this.#registry.beginDrain();
      this.#log.info({ sessions: this.#registry.size }, 'drain begins');
      const availableMs = availableFor(this.#config.drainTimeoutMs);
      const deadline = AbortSignal.timeout(availableMs);
      const isEven = pace === 'even';
      const graceMs = availableMs * GRACE_SHARE;
      const terms = { moveMs: graceMs, quietMs: isEven ? graceMs : 0 };
      await this.#gateway?.evacuate(isEven ? spreadOf(this.#config.drainTimeoutMs) : 0, terms, deadline);
      if (this.#registry.size > 0) {
        this.#log.warn({ sessions: this.#registry.size }, 'drain deadline reached; sessions are cut');
        await this.#registry.giveUp();
      }
    }
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        await step.close();
      } catch (error) {
        this.#log.error({ part: step.name, err: error }, 'close failed');
      }
    }
    this.#log.info('gateway closed');
  }
}

function availableFor(drainTimeoutMs: number): number {
  return Math.max(0, drainTimeoutMs - CLOSING_MS);
}

/** Over how many milliseconds of an even drain the clients are sent off. */
export function spreadOf(drainTimeoutMs: number): number {
  return availableFor(drainTimeoutMs) * SPREAD_SHARE;
}

/** Of the resume window, by how much a record outlives it: its owner renews it four times within one. */
const RECORD_LIFE = 1.5;

function storeBounds(config: Config): StoreBounds {
  return {
    journal: { entries: config.journalEntries, bytes: config.journalBytes, ageMs: config.journalAgeMs },
    ttlMs: config.resumeWindowMs * RECORD_LIFE,
  };
}

/** @throws StartupError that names the files which are no certificate with its key */
async function openCertificate({ tlsCertFile, tlsKeyFile }: Config, log: Logger): Promise<Certificate | undefined> {
  if (tlsCertFile === undefined || tlsKeyFile === undefined) return undefined;
  try {
    return await Certificate.open(tlsCertFile, tlsKeyFile, log);
  } catch (error) {
    const { tlsCertFile: cert, tlsKeyFile: key } = SETTINGS;
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartupError(`${cert.variable} and ${key.variable} cannot be used: ${reason}.`, { cause: error });
  }
}

/** A server of Fastify's, or one in that form. */
interface Listener {
  readonly server: NetServer;
  listen(options: { host: string; port: number }): PromiseLike<unknown>;
}

/**
 * @param variable the setting that `port` comes from
 * @returns the port, which is another if any free one was asked for
 * @throws StartupError that says what to change
 */
export async function listen(server: Listener, host: string, port: number, variable: string): Promise<number> {
  try {
    await server.listen({ host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      throw new StartupError(`Port ${port} on ${host} is taken. Set ${variable} to a free port.`, { cause: error });
    }
    if (code === 'EACCES') {
      throw new StartupError(`Port ${port} may not be opened by this user. Set ${variable} to one above 1023.`, {
        cause: error,
      });
    }
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
      const hostVariable = variable === SETTINGS.port.variable ? SETTINGS.host.variable : SETTINGS.adminHost.variable;
      throw new StartupError(`${host} is not an address of this machine. Set ${hostVariable}.`, { cause: error });
    }
    throw error;
  }
  return (server.server.address() as AddressInfo).port;
}
