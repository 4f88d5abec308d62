import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { toEmulatorOptions } from '../../../src/cli/emulator.ts';
import { addEmulatorOptions, type EmulatorCommandOptions } from '../../../src/cli/emulator-options.ts';
import { DEFAULT_LATENCY, resolveOptions } from '../../../src/emulator/options.ts';
import { scripted } from '../../support/gateway.ts';

function command(): Command {
  return addEmulatorOptions(new Command('emulator').exitOverride().configureOutput({ writeErr: () => undefined }));
}

function parse(...args: string[]): EmulatorCommandOptions {
  return command().parse(args, { from: 'user' }).opts();
}

const SCRIPTED = ['--recogniser', 'scripted'];

describe('the options of the emulator command', () => {
  it('leave the defaults of the emulator alone', () => {
    const options = toEmulatorOptions(parse(...SCRIPTED), undefined);
    const defaults = resolveOptions({ recogniser: { kind: 'scripted' } });
    expect(resolveOptions(options)).toEqual(defaults);
    expect(options.recogniser).toEqual({ kind: 'scripted', latency: {} });
    expect(options.faults).toEqual([]);
  });

  it('reach the emulator', () => {
    const limits = ['--concurrent-streams', '3', '--starts-per-second', '0', '--connections', '20000'];
    const times = ['--silence-ms', '2000', '--max-age-ms', '60000'];
    const latencies = ['--partial-latency-ms', '0', '--final-latency-ms', '500-4000'];
    const faults = ['--fault', 'reset:0.01', '--fault', 'silence:0.02,afterAudioMs=5000', '--seed', '4294967295'];
    const options = toEmulatorOptions(parse(...SCRIPTED, ...limits, ...times, ...latencies, ...faults), undefined);
    expect(options).toMatchObject({
      recogniser: { kind: 'scripted', latency: { partialMs: 0, finalMs: { min: 500, max: 4000 } } },
      limits: { concurrentStreams: 3, startsPerSecond: 0, connections: 20_000, silenceMs: 2000, maxAgeMs: 60_000 },
      faults: [
        { fault: { kind: 'reset' }, rate: 0.01 },
        { fault: { kind: 'silence', afterAudioMs: 5000 }, rate: 0.02 },
      ],
      seed: 4_294_967_295,
    });
  });

  it('take one number as a final latency that does not vary', () => {
    const options = toEmulatorOptions(parse('--recogniser', 'coded', '--final-latency-ms', '0'), undefined);
    expect(options.recogniser).toEqual({ kind: 'coded', latency: { finalMs: { min: 0, max: 0 } } });
  });

  it('choose a seed where none is given, so that it can be shown and given again', () => {
    const seeds = Array.from({ length: 8 }, () => toEmulatorOptions(parse(...SCRIPTED), undefined).seed);
    expect(new Set(seeds).size).toBeGreaterThan(1);
    for (const seed of seeds) expect(parse('--seed', String(seed)).seed).toBe(seed);
  });

  it('let an engine transcribe for the recogniser local', () => {
    const engine = scripted([]);
    expect(toEmulatorOptions(parse(), engine).recogniser).toEqual({ kind: 'engine', engine });
  });

  it.each([
    ['--port', 'x', /a port, 0 to 65535/],
    ['--port', '65536', /a port, 0 to 65535/],
    ['--admin-port', '', /a port, 0 to 65535/],
    ['--concurrent-streams', '-1', /whole number, 0 to 1000000/],
    ['--concurrent-streams', '1e3', /whole number, 0 to 1000000/],
    ['--starts-per-second', '2.5', /whole number, 0 to 1000000/],
    ['--connections', '0', /whole number, 1 to 1000000/],
    ['--silence-ms', '0', /whole number, 1 to 86400000/],
    ['--max-age-ms', '86400001', /whole number, 1 to 86400000/],
    ['--partial-latency-ms', 'soon', /whole number, 0 to 86400000/],
    ['--final-latency-ms', '2000-300', /milliseconds.*300-2000/],
    ['--final-latency-ms', '300-', /milliseconds.*300-2000/],
    ['--final-latency-ms', '0-86400001', /milliseconds.*300-2000/],
    ['--seed', '4294967296', /whole number, 0 to 4294967295/],
    ['--credentials', 'key', /KEY:SECRET/],
    ['--fault', 'reset', /KIND:RATE/],
  ])('refuse %s %s', (option, value, message) => {
    expect(() => parse(option, value)).toThrow(message);
    expect(() => parse(option, value)).toThrow(option);
  });

  it('show the defaults of the emulator in the help', () => {
    const help = command().helpInformation();
    expect(help).toMatch(/--concurrent-streams <n> [^-]*\(default: 25\)/);
    expect(help).toMatch(/--max-age-ms <ms> [^-]*\(default: 14400000\)/);
    expect(help).toContain(`${DEFAULT_LATENCY.finalMs.min}-${DEFAULT_LATENCY.finalMs.max}`);
  });

  it('all stand in the README', () => {
    const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
    for (const { long } of command().options) expect(readme).toContain(`\`${long}`);
  });
});
