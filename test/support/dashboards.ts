import { readdirSync, readFileSync } from 'node:fs';

const FOLDER = new URL('../../helm/transcribe-gateway/dashboards/', import.meta.url).pathname;

interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly datasource?: { readonly uid: string };
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { readonly type: string; readonly uid: string };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
  readonly targets?: readonly Target[];
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly tags: readonly string[];
  readonly links: readonly { readonly type: string; readonly tags: readonly string[] }[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
  readonly panels: readonly Panel[];
}

/** Every dashboard that Grafana is given, by the name of its file. */
export const DASHBOARDS: readonly (readonly [string, Dashboard])[] = readdirSync(FOLDER).map((file) => [
  file,
  JSON.parse(readFileSync(FOLDER + file, 'utf8')) as Dashboard,
]);

/** Those that show something; the others are headings. */
export function dataPanels({ panels }: Dashboard): readonly Panel[] {
  return panels.filter(({ type }) => type !== 'row');
}

/** The names of metrics and labels in a query. It must be one that Prometheus can read. */
export function namesIn(expr: string): { readonly metrics: Set<string>; readonly labels: Set<string> } {
  const labels = new Set<string>();
  const rest = expr
    .replace(/"[^"]*"/g, '""')
    .replace(/\[[^\]]*\]/g, '')
    .replace(/\{([^}]*)\}/g, (_all, matchers: string) => {
      for (const [, label] of matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)) labels.add(label ?? '');
      return '';
    })
    .replace(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g, (_all, list: string) => {
      for (const [label] of list.matchAll(/\w+/g)) labels.add(label);
      return '';
    });
  // What is left of words are metrics, functions, which a bracket follows, and operators.
  const words = [...rest.matchAll(/\b([A-Za-z_:][\w:]*)\b(?!\s*\()/g)].map(([, word]) => word ?? '');
  const metrics = new Set(words.filter((word) => !/^(?:and|or|unless|bool|offset|inf|nan)$/i.test(word)));
  return { metrics, labels };
}
