/** The alerts of the chart with all time in them cut short, so that in a drill they fire within seconds. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const RULES = new URL('../../helm/transcribe-gateway/rules/', import.meta.url).pathname;
/** What an alert waits for, and ranges of queries. */
const FOR = /(?<=\bfor: )(\d+)([smhd])\b/g;
const RANGE = /(?<=\[)(\d+)([smhd])(?=\])/g;
const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The name of every alert of the chart. */
export const ALERTS: readonly string[] = readdirSync(RULES).flatMap((file) =>
  [...readFileSync(RULES + file, 'utf8').matchAll(/- alert: (\w+)/g)].map(([, name = '']) => name),
);

/** @param factor by which each duration in the text of a file of rules becomes shorter */
export function scaleRules(text: string, factor: number): string {
  const scaled = (_: string, count: string, unit: string) =>
    `${Math.round((Number(count) * (UNIT_MS[unit] ?? 0)) / factor)}ms`;
  return text.replace(FOR, scaled).replace(RANGE, scaled);
}

/** Writes every file of rules so into a folder that need not exist. @returns their paths */
export function writeScaledRules(folder: string, factor: number): string[] {
  mkdirSync(folder, { recursive: true });
  return readdirSync(RULES).map((file) => {
    const path = join(folder, file);
    writeFileSync(path, scaleRules(readFileSync(RULES + file, 'utf8'), factor));
    return path;
  });
}
