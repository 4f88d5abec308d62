import { decimal, integer, list, setting } from './setting.ts';

/** What may be spent on an engine that is paid for. */
export const COST_SETTINGS = {
  silenceTrimmingTenants: setting<readonly string[] | undefined>({
    variable: 'GATEWAY_SILENCE_TRIMMING_TENANTS',
    schema: list,
    default: undefined,
    defaultText: 'none',
    help: 'Tenants whose sessions may ask for `trim_silence`, with commas between them, or `*` for all. It costs less, and may cost words that are spoken very softly.',
  }),
  tenantDailyBilledSeconds: setting<number>({
    variable: 'GATEWAY_TENANT_DAILY_BILLED_SECONDS',
    schema: integer(0, 1_000_000_000),
    default: 0,
    unit: 's',
    help: 'What the engine may bill for one tenant in a day (UTC), on all gateways together; 0 for any amount. An engine that costs nothing bills nothing.',
  }),
  tenantDailyAudioSeconds: setting<number>({
    variable: 'GATEWAY_TENANT_DAILY_AUDIO_SECONDS',
    schema: integer(0, 1_000_000_000),
    default: 0,
    unit: 's of audio',
    help: 'The same of the audio that its clients send, silence included.',
  }),
  userDailyAudioSeconds: setting<number>({
    variable: 'GATEWAY_USER_DAILY_AUDIO_SECONDS',
    schema: integer(0, 1_000_000_000),
    default: 0,
    unit: 's of audio',
    help: 'The same of one user, unless the token says otherwise.',
  }),
  budgetWarnShare: setting<number>({
    variable: 'GATEWAY_BUDGET_WARN_SHARE',
    schema: decimal(0.01, 1),
    default: 0.8,
    help: 'Share of a daily budget from which on the log and `budget_warnings_total` warn of it.',
  }),
} as const;
