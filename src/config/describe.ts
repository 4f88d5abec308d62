import { HIDDEN } from './config-error.ts';
import { type Config, SETTINGS } from './schema.ts';

/** The settings as rows of a Markdown table, for the README. */
export function settingsTable(): string {
  const rows = Object.values(SETTINGS).map((s) => {
    const byDefault = s.default === undefined ? (s.defaultText ?? 'none') : `\`${s.default}\``;
    return `| \`${s.variable}\` | ${byDefault} | ${s.unit ?? ''} | ${s.help} |`;
  });
  return ['| variable | default | unit | meaning |', '|---|---|---|---|', ...rows].join('\n');
}

/** The effective settings as lines that a shell or an env file takes; a setting that is not given is a comment. */
export function environmentLines(config: Config): string {
  const values: Readonly<Record<string, unknown>> = config;
  return Object.entries(SETTINGS)
    .map(([key, s]) => {
      const value = values[key];
      const unit = s.unit === undefined ? '' : ` (${s.unit})`;
      if (s.secret === true && value !== undefined)
        return `# ${s.help}${unit}\n# ${s.variable}=${HIDDEN} (set, and not shown)`;
      const line = value === undefined ? `# ${s.variable}=` : `${s.variable}=${shellQuote(String(value))}`;
      return `# ${s.help}${unit}\n${line}`;
    })
    .join('\n\n');
}

function shellQuote(value: string): string {
  return /^[\w.,:/@%+-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
}
