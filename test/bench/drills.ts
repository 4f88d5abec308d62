/**
 * Provokes what each alert of the chart is for on live stacks, with a real Prometheus whose rules have all time in them cut
 * short, and prints after how long it fired, and after how long it was over: `npm run bench:drills -- --at-once 2`. With
 * `--only Store` those alone whose alerts have that in their names.
 */
import { parseArgs } from 'node:util';
import { type Drill, type DrillResult, formatDrills, hasPassed, runDrill } from '../support/drill.ts';
import { DRILLS } from '../support/drills.ts';
import { killAll } from '../support/process.ts';

const { values } = parseArgs({
  options: {
    'at-once': { type: 'string', default: '2' },
    only: { type: 'string', default: '' },
  },
});

const drills = DRILLS.filter(({ alerts }) => Object.keys(alerts).some((alert) => alert.includes(values.only)));
const results = new Map<Drill, DrillResult[]>();
const left = [...drills];
async function runNext(): Promise<void> {
  for (let drill = left.shift(); drill !== undefined; drill = left.shift()) {
    console.error(`${Math.round(performance.now() / 1_000)} s: ${drill.fault}`);
    results.set(drill, await runDrill(drill));
  }
}
await Promise.all(Array.from({ length: Number(values['at-once']) }, runNext));
killAll();

const all = drills.flatMap((drill) => results.get(drill) ?? []);
console.log(formatDrills(all));
process.exitCode = all.every(hasPassed) ? 0 : 1;
