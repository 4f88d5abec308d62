import { list, setting } from './setting.ts';

/** What may be spent on an engine that is paid for. */
export const COST_SETTINGS = {
  silenceTrimmingTenants: setting<readonly string[] | undefined>({
    variable: 'GATEWAY_SILENCE_TRIMMING_TENANTS',
    schema: list,
    default: undefined,
    defaultText: 'none',
    help: 'Tenants whose sessions may ask for `trim_silence`, with commas between them, or `*` for all. It costs less, and may cost words that are spoken very softly.',
  }),
} as const;
