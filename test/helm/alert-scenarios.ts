/** For each alert what makes it fire, and what comes near and does not. */

/** Series by name, with values in promtool's notation: `0+1x30` is 0, 1, 2 … 30. */
type Series = Readonly<Record<string, string>>;

export interface Scenario {
  readonly fires: Series;
  /** Those of the alert that fires, besides its severity. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly quiet: Series;
  /** Minutes from one value to the next, and from one evaluation to the next; 1 by default. It has fired with the 60th. */
  readonly stepMinutes?: number;
}

const gateway = (name: string, labels = '') => `transcribe_gateway_${name}{${labels}instance="a"}`;
const UP = 'up{job="transcribe-gateway",instance="a"}';

/** Of 1,000 from each value to the next, how many fail. */
function starts(failed: number): Series {
  return {
    [gateway('errors_total', 'code="engine_unavailable",')]: `0+${failed}x99`,
    // Of no weight: the client has no right, or it is not a start.
    [gateway('errors_total', 'code="unauthorized",')]: '0+500x99',
    [gateway('sessions_started_total', 'protocol="2",')]: `0+${1000 - failed}x99`,
  };
}

function resumes(failed: number): Series {
  return {
    [gateway('resumes_total', 'outcome="resumed",')]: `0+${1000 - failed}x99`,
    [gateway('resumes_total', 'outcome="resume_expired",')]: `0+${failed}x99`,
    [gateway('resumes_total', 'outcome="forbidden",')]: '0+500x99',
  };
}

function finals(late: number): Series {
  return {
    [gateway('delivery_seconds_bucket', 'le="0.25",')]: `0+${1000 - late}x99`,
    [gateway('delivery_seconds_count')]: '0+1000x99',
  };
}

/** With which sixty values are more than a day. */
const SLOW = 25;

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  TranscribeGatewayDown: {
    fires: { [UP]: '1x10 0x60' },
    labels: { job: 'transcribe-gateway', instance: 'a' },
    // It starts.
    quiet: { [UP]: '1x56 0 0 1 1 1 1' },
  },
  TranscribeGatewayAllDown: {
    fires: { [UP]: '0x60', 'up{job="transcribe-gateway",instance="b"}': '0x60' },
    quiet: { [UP]: '0x60', 'up{job="transcribe-gateway",instance="b"}': '1x60' },
  },
  TranscribeGatewayProbeFailing: {
    fires: {
      'kube_cronjob_status_last_schedule_time{namespace="n",cronjob="r-transcribe-gateway-probe"}': '0+60x60',
      'kube_cronjob_status_last_successful_time{namespace="n",cronjob="r-transcribe-gateway-probe"}': '30x60',
    },
    labels: { namespace: 'n', cronjob: 'r-transcribe-gateway-probe' },
    quiet: {
      'kube_cronjob_status_last_schedule_time{namespace="n",cronjob="r-transcribe-gateway-probe"}': '0+60x60',
      'kube_cronjob_status_last_successful_time{namespace="n",cronjob="r-transcribe-gateway-probe"}': '30+60x60',
    },
  },
  // A budget of 0.5%: 14.4 times that is 7.2%, and 6 times 3%.
  TranscribeGatewayStartsBudgetBurnsFast: { fires: starts(80), quiet: starts(20) },
  TranscribeGatewayStartsBudgetBurnsSlowly: { fires: starts(20), quiet: starts(4), stepMinutes: SLOW },
  TranscribeGatewayResumesBudgetBurnsFast: { fires: resumes(80), quiet: resumes(20) },
  TranscribeGatewayResumesBudgetBurnsSlowly: { fires: resumes(20), quiet: resumes(4), stepMinutes: SLOW },
  // A budget of 1%.
  TranscribeGatewayDeliveryBudgetBurnsFast: { fires: finals(160), quiet: finals(40) },
  TranscribeGatewayDeliveryBudgetBurnsSlowly: { fires: finals(40), quiet: finals(8), stepMinutes: SLOW },
  TranscribeGatewayAudioLost: {
    fires: { [gateway('gap_seconds_total', 'reason="engine_failed",')]: '0x50 2x20' },
    labels: { reason: 'engine_failed' },
    quiet: {
      [gateway('gap_seconds_total', 'reason="engine_failed",')]: '2x60',
      [gateway('gap_seconds_total', 'reason="client_overflow",')]: '0+1x60',
    },
  },
  TranscribeGatewayMuchAudioLost: {
    fires: {
      [gateway('gap_seconds_total', 'reason="engine_failed",')]: '0+2x60',
      [gateway('audio_seconds_total')]: '0+100x60',
    },
    quiet: {
      [gateway('gap_seconds_total', 'reason="engine_failed",')]: '0+0.5x60',
      [gateway('audio_seconds_total')]: '0+100x60',
    },
  },
  TranscribeGatewayEngineRefuses: {
    fires: {
      [gateway('engine_opens_total', 'engine="aws",outcome="ok",')]: '0+4x60',
      [gateway('engine_opens_total', 'engine="aws",outcome="quota_exhausted",')]: '0+6x60',
    },
    labels: { engine: 'aws' },
    // Clients that leave say nothing about the engine.
    quiet: {
      [gateway('engine_opens_total', 'engine="aws",outcome="ok",')]: '0+6x60',
      [gateway('engine_opens_total', 'engine="aws",outcome="quota_exhausted",')]: '0+4x60',
      [gateway('engine_opens_total', 'engine="aws",outcome="aborted",')]: '0+50x60',
    },
  },
  TranscribeGatewayEngineStreamsBreak: {
    fires: {
      [gateway('engine_breaks_total', 'engine="aws",code="engine_unavailable",')]: '0+3x60',
      [gateway('engine_stream_ends_total', 'engine="aws",how="broken",')]: '0+3x60',
      [gateway('engine_stream_ends_total', 'engine="aws",how="stopped",')]: '0+7x60',
    },
    labels: { engine: 'aws' },
    quiet: {
      [gateway('engine_breaks_total', 'engine="aws",code="engine_unavailable",')]: '0+1x60',
      [gateway('engine_stream_ends_total', 'engine="aws",how="broken",')]: '0+1x60',
      [gateway('engine_stream_ends_total', 'engine="aws",how="stopped",')]: '0+9x60',
    },
  },
  TranscribeGatewayPoolEntrySetAside: {
    // It is tried again now and then.
    fires: { [gateway('aws_pool_state', 'entry="home",')]: '0x50 2 1 2 2 1 2 2 1 2 2 2 2' },
    labels: { entry: 'home' },
    quiet: { [gateway('aws_pool_state', 'entry="home",')]: '0x52 2 1 2 0 0 2 2 2 2' },
  },
  TranscribeGatewayQuotaNearlyUsed: {
    fires: {
      [gateway('aws_slots_held', 'entry="home",')]: '24x60',
      [gateway('aws_quota_streams', 'entry="home",')]: '25x60',
    },
    labels: { entry: 'home' },
    quiet: {
      [gateway('aws_slots_held', 'entry="home",')]: '22x60',
      [gateway('aws_quota_streams', 'entry="home",')]: '25x60',
    },
  },
  TranscribeGatewaySessionsWait: {
    fires: { [gateway('queue_sessions')]: '0x30 3x40' },
    quiet: { [gateway('queue_sessions')]: '0x50 3x5 0x10' },
  },
  TranscribeGatewayStoreAway: {
    fires: { [gateway('store_available')]: '1x50 0x20' },
    labels: { instance: 'a' },
    quiet: { [gateway('store_available')]: '1x58 0 1 1 1' },
  },
  TranscribeGatewayStoreFails: {
    fires: {
      [gateway('store_failures_total', 'call="append",')]: '0+2x60',
      [gateway('store_call_seconds_count', 'call="append",')]: '0+98x60',
    },
    quiet: {
      [gateway('store_failures_total', 'call="append",')]: '0+1x60',
      [gateway('store_call_seconds_count', 'call="append",')]: '0+199x60',
    },
  },
  TranscribeGatewayStoreSlow: {
    fires: {
      [gateway('store_call_seconds_bucket', 'call="append",le="0.1",')]: '0+90x60',
      [gateway('store_call_seconds_bucket', 'call="append",le="+Inf",')]: '0+100x60',
      [gateway('store_call_seconds_bucket', 'call="append",le="1",')]: '0+100x60',
    },
    quiet: {
      [gateway('store_call_seconds_bucket', 'call="append",le="0.05",')]: '0+100x60',
      [gateway('store_call_seconds_bucket', 'call="append",le="+Inf",')]: '0+100x60',
    },
  },
  TranscribeGatewayLiveMessagesLost: {
    fires: { [gateway('live_messages_total', 'outcome="lost",')]: '0+1x60' },
    quiet: {
      [gateway('live_messages_total', 'outcome="lost",')]: '5x60',
      [gateway('live_messages_total', 'outcome="published",')]: '0+9x60',
    },
  },
  TranscribeGatewayInternalErrors: {
    fires: { [gateway('errors_total', 'code="internal",')]: '0x55 1x10' },
    labels: { instance: 'a' },
    quiet: { [gateway('errors_total', 'code="internal",')]: '1x60' },
  },
  TranscribeGatewayEventLoopLags: {
    fires: { 'nodejs_eventloop_lag_p99_seconds{job="transcribe-gateway",instance="a"}': '0.3x60' },
    labels: { job: 'transcribe-gateway', instance: 'a' },
    quiet: {
      'nodejs_eventloop_lag_p99_seconds{job="transcribe-gateway",instance="a"}': '0.1x60',
      'nodejs_eventloop_lag_p99_seconds{job="another",instance="a"}': '0.3x60',
    },
  },
  TranscribeGatewaySheds: {
    fires: { [gateway('errors_total', 'code="overloaded",')]: '0+1x60' },
    quiet: { [gateway('errors_total', 'code="overloaded",')]: '7x60' },
  },
  TranscribeGatewayWorkerSilent: {
    fires: { [gateway('worker_up', 'worker="2",')]: '1x50 0x20' },
    labels: { worker: '2', instance: 'a' },
    quiet: { [gateway('worker_up', 'worker="2",')]: '1x58 0 1 1 1' },
  },
  TranscribeGatewayWorkersDie: {
    fires: { [gateway('worker_exits_total')]: '0x50 1 2 3 4 5 6 6x10' },
    labels: { instance: 'a' },
    quiet: { [gateway('worker_exits_total')]: '0x50 1 2 2x10' },
  },
  TranscribeGatewayDrainDoesNotEnd: {
    fires: { [gateway('draining')]: '0x10 1x60' },
    labels: { instance: 'a' },
    quiet: { [gateway('draining')]: '0x40 1x30' },
  },
  TranscribeGatewayTokensRefused: {
    fires: {
      [gateway('errors_total', 'code="unauthorized",')]: '0+60x60',
      [gateway('connections_total', 'protocol="2",')]: '0+10x60',
    },
    quiet: {
      [gateway('errors_total', 'code="unauthorized",')]: '0+5x60',
      [gateway('connections_total', 'protocol="2",')]: '0+10x60',
    },
  },
};
