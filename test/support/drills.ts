/** What is provoked for each alert of the chart. */
import { setTimeout as delay } from 'node:timers/promises';
import { ENGINE_VARIABLE } from '../../src/cluster/crew.ts';
import type { FaultRule } from '../../src/emulator/faults.ts';
import type { Engine } from '../../src/engines/engine.ts';
import { makePrivatePath } from '../../src/engines/hosted/private-path.ts';
import { serveEngine } from '../../src/engines/hosted/serve-engine.ts';
import { repeatingScript, ScriptedEngine } from '../../src/engines/scripted/scripted-engine.ts';
import { knock, returnAfter, speak, speakOn, speakOnTwoConnections, speakToViewer } from './actors.ts';
import type { Drill, Fault, Stage } from './drill.ts';
import { freePort } from './free-port.ts';
import { childrenOf, toEmulator } from './process.ts';
import { JWT_AUTH, signToken } from './tokens.ts';

/** Makes of five minutes five seconds: as many scrapes as a rate needs. */
const FAST = 60;
/** For what goes on for days: two hours become twelve seconds, three days seven minutes. */
const SLOW = 600;
const V1 = { protocol: 1 };
const V2 = { protocol: 2 };
const SPEAKERS = 3;

/** For the probe, which speaks for twelve seconds: of the eight minutes that one run may fail, longer than a run takes. */
const OF_THE_PROBE = 24;

/** Stops something for most of the time, again and again, as if it had too little of a processor. */
function stutter(stop: () => unknown, go: () => unknown, stoppedMs: number): Fault {
  const ending = new AbortController();
  let done = Promise.resolve();
  const run = async () => {
    while (!ending.signal.aborted) {
      await stop();
      await delay(stoppedMs);
      await go();
      await delay(100);
    }
  };
  return {
    strike: () => {
      done = run();
    },
    mend: async () => {
      ending.abort();
      await done;
    },
  };
}

/** The emulator strikes with these, at people who speak. */
function engineFault(rules: readonly FaultRule[]) {
  return async (stage: Stage): Promise<Fault> => {
    const emulator = await stage.emulator();
    const gateway = await stage.gateway({
      ...toEmulator(emulator.url),
      GATEWAY_START_TIMEOUT_MS: '2000',
      GATEWAY_FLUSH_TIMEOUT_MS: '500',
      GATEWAY_RECOVERY_TIMEOUT_MS: '1000',
    });
    stage.actors(SPEAKERS, gateway.url, V1, speak(gateway.url));
    return {
      strike: () => {
        for (const rule of rules) emulator.addFault(rule);
      },
      mend: () => emulator.clearFaults(),
    };
  };
}

export const DRILLS: readonly Drill[] = [
  {
    fault: 'the only gateway is killed',
    alerts: { TranscribeGatewayDown: FAST, TranscribeGatewayAllDown: FAST },
    prepare: async (stage) => {
      const env = { GATEWAY_ENGINE: 'scripted', GATEWAY_ADMIN_PORT: String(await freePort()) };
      const gateway = await stage.gateway(env);
      let again: Promise<unknown> | undefined;
      return {
        strike: () => gateway.child.kill('SIGKILL'),
        mend: () => {
          again ??= stage.gateway(env);
          return again;
        },
      };
    },
  },
  {
    fault: 'Redis hangs',
    alerts: { TranscribeGatewayStoreAway: FAST, TranscribeGatewayStoreFails: FAST },
    prepare: async (stage) => {
      const [redis, emulator] = await Promise.all([stage.redis(), stage.emulator()]);
      const gateway = await stage.gateway({ ...toEmulator(emulator.url), REDIS_URL: redis.url });
      stage.actors(SPEAKERS, gateway.url, V2, speakToViewer);
      return { strike: () => redis.pause(), mend: () => redis.unpause() };
    },
  },
  {
    fault: 'Redis stops for 0.8 s again and again',
    alerts: {
      TranscribeGatewayStoreSlow: FAST,
      TranscribeGatewayDeliveryBudgetBurnsFast: FAST,
      TranscribeGatewayDeliveryBudgetBurnsSlowly: SLOW,
    },
    prepare: async (stage) => {
      const [redis, emulator] = await Promise.all([stage.redis(), stage.emulator()]);
      const gateway = await stage.gateway({ ...toEmulator(emulator.url), REDIS_URL: redis.url });
      stage.actors(SPEAKERS, gateway.url, V2, speakToViewer);
      return stutter(
        () => redis.pause(),
        () => redis.unpause(),
        800,
      );
    },
  },
  {
    // While Redis is away altogether nothing is committed, and viewers are told of nothing else.
    fault: 'the ACL of Redis forbids PUBLISH',
    alerts: { TranscribeGatewayLiveMessagesLost: FAST },
    prepare: async (stage) => {
      const [redis, emulator] = await Promise.all([stage.redis(), stage.emulator()]);
      const gateway = await stage.gateway({ ...toEmulator(emulator.url), REDIS_URL: redis.url });
      stage.actors(SPEAKERS, gateway.url, V2, speakToViewer);
      return {
        strike: () => redis.command('acl', 'setuser', 'default', '-publish'),
        mend: () => redis.command('acl', 'setuser', 'default', '+publish'),
      };
    },
  },
  {
    fault: 'AWS refuses every stream',
    alerts: {
      TranscribeGatewayEngineRefuses: FAST,
      TranscribeGatewayPoolEntrySetAside: FAST,
      TranscribeGatewayStartsBudgetBurnsFast: FAST,
      TranscribeGatewayStartsBudgetBurnsSlowly: SLOW,
    },
    prepare: engineFault([{ fault: { kind: 'http_error', status: 503 }, rate: 1 }]),
  },
  {
    fault: 'AWS breaks streams, and answers others no more',
    alerts: {
      TranscribeGatewayEngineStreamsBreak: FAST,
      TranscribeGatewayAudioLost: FAST,
      TranscribeGatewayMuchAudioLost: FAST,
    },
    prepare: engineFault([
      { fault: { kind: 'reset', afterAudioMs: { min: 300, max: 1_000 } }, rate: 0.5 },
      { fault: { kind: 'silence', afterAudioMs: { min: 200, max: 800 } }, rate: 0.5 },
    ]),
  },
  {
    fault: 'AWS refuses the probe its streams',
    alerts: { TranscribeGatewayProbeFailing: OF_THE_PROBE },
    prepare: async (stage) => {
      const emulator = await stage.emulator();
      const gateway = await stage.gateway({ ...toEmulator(emulator.url), GATEWAY_START_TIMEOUT_MS: '2000' });
      await stage.probeOf(gateway.url);
      return {
        strike: () => emulator.addFault({ fault: { kind: 'http_error', status: 503 }, rate: 1 }),
        mend: () => emulator.clearFaults(),
      };
    },
  },
  {
    fault: 'more people speak than AWS grants streams',
    alerts: { TranscribeGatewayQuotaNearlyUsed: FAST, TranscribeGatewaySessionsWait: FAST },
    prepare: async (stage) => {
      const [redis, emulator] = await Promise.all([stage.redis(), stage.emulator()]);
      const gateway = await stage.gateway({
        ...toEmulator(emulator.url),
        REDIS_URL: redis.url,
        GATEWAY_AWS_STREAMS: '2',
        GATEWAY_AWS_RESERVE: '0',
      });
      let stop: (() => Promise<unknown>) | undefined;
      return {
        strike: () => {
          stop = stage.actors(2 * SPEAKERS, gateway.url, V1, speakOn);
        },
        mend: () => stop?.(),
      };
    },
  },
  {
    fault: 'a worker hangs',
    alerts: { TranscribeGatewayWorkerSilent: FAST },
    scrapeMs: 2_000,
    prepare: async (stage) => {
      const redis = await stage.redis();
      const gateway = await stage.gateway({
        GATEWAY_ENGINE: 'scripted',
        GATEWAY_WORKERS: '2',
        REDIS_URL: redis.url,
      });
      const [worker = 0] = childrenOf(gateway.child.pid ?? 0);
      return { strike: () => process.kill(worker, 'SIGSTOP'), mend: () => process.kill(worker, 'SIGCONT') };
    },
  },
  {
    fault: 'four workers die',
    alerts: { TranscribeGatewayWorkersDie: FAST },
    scrapeMs: 2_000,
    prepare: async (stage) => {
      const redis = await stage.redis();
      const gateway = await stage.gateway({
        GATEWAY_ENGINE: 'scripted',
        GATEWAY_WORKERS: '4',
        REDIS_URL: redis.url,
      });
      return {
        strike: () => {
          for (const worker of childrenOf(gateway.child.pid ?? 0)) process.kill(worker, 'SIGKILL');
        },
        mend: () => undefined,
      };
    },
  },
  {
    // In place of a fault in the code of the gateway, of which none is known.
    fault: 'the engine throws what engines do not throw',
    alerts: { TranscribeGatewayInternalErrors: FAST },
    scrapeMs: 2_000,
    prepare: async (stage) => {
      const [redis, { path, remove }] = await Promise.all([stage.redis(), makePrivatePath()]);
      stage.onClose(remove);
      const scripted = new ScriptedEngine({ script: () => ({ steps: repeatingScript() }) });
      let isFaulty = false;
      const engine: Engine = {
        capabilities: scripted.capabilities,
        open: async (options, signal) => {
          if (isFaulty) throw new TypeError('a fault of a drill');
          return scripted.open(options, signal);
        },
        close: () => scripted.close(),
      };
      const host = await serveEngine(engine, path);
      stage.onClose(() => host.close());
      const gateway = await stage.gateway({
        GATEWAY_ENGINE: 'scripted',
        GATEWAY_WORKERS: '2',
        REDIS_URL: redis.url,
        // Workers take that engine in its stead.
        [ENGINE_VARIABLE]: path,
      });
      stage.actors(SPEAKERS, gateway.url, V1, speak(gateway.url));
      return {
        strike: () => {
          isFaulty = true;
        },
        mend: () => {
          isFaulty = false;
        },
      };
    },
  },
  {
    fault: 'a gateway drains, and somebody speaks on',
    // Of half an hour five seconds.
    alerts: { TranscribeGatewayDrainDoesNotEnd: 6 * FAST },
    prepare: async (stage) => {
      const gateway = await stage.gateway({ GATEWAY_ENGINE: 'scripted', GATEWAY_DRAIN_TIMEOUT_MS: '600000' });
      const stop = stage.actors(1, gateway.url, V1, speakOn);
      return {
        strike: () => gateway.child.kill('SIGTERM'),
        mend: async () => {
          await stop();
          await gateway.exited;
        },
      };
    },
  },
  {
    fault: 'clients come with wrong tokens',
    alerts: { TranscribeGatewayTokensRefused: FAST },
    prepare: async (stage) => {
      const gateway = await stage.gateway({ ...JWT_AUTH, GATEWAY_ENGINE: 'scripted' });
      const token = await signToken();
      stage.actors(1, gateway.url, { ...V1, token }, knock);
      let stop: (() => Promise<unknown>) | undefined;
      return {
        strike: () => {
          stop = stage.actors(6 * SPEAKERS, gateway.url, { ...V1, token: 'wrong' }, knock);
        },
        mend: () => stop?.(),
      };
    },
  },
  {
    fault: 'a gateway gets too little of its processor',
    alerts: { TranscribeGatewayEventLoopLags: FAST, TranscribeGatewaySheds: FAST },
    prepare: async (stage) => {
      const gateway = await stage.gateway({ GATEWAY_ENGINE: 'scripted', GATEWAY_SHED_LOOP_DELAY_MS: '30' });
      stage.actors(SPEAKERS, gateway.url, V1, speak(gateway.url));
      return stutter(
        () => gateway.child.kill('SIGSTOP'),
        () => gateway.child.kill('SIGCONT'),
        400,
      );
    },
  },
  {
    fault: 'clients come back when their sessions are forgotten',
    alerts: { TranscribeGatewayResumesBudgetBurnsFast: FAST, TranscribeGatewayResumesBudgetBurnsSlowly: SLOW },
    prepare: async (stage) => {
      const emulator = await stage.emulator();
      const gateway = await stage.gateway({
        ...toEmulator(emulator.url),
        GATEWAY_LINGER_MS: '500',
        GATEWAY_RESUME_WINDOW_MS: '1000',
      });
      stage.actors(1, gateway.url, V2, speakOnTwoConnections);
      let stop: (() => Promise<unknown>) | undefined;
      return {
        strike: () => {
          stop = stage.actors(SPEAKERS, gateway.url, V2, returnAfter(2_000));
        },
        mend: () => stop?.(),
      };
    },
  },
];
