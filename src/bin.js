#!/usr/bin/env node
// The command from a clone (source, under Node's type stripping) and from a package (dist: Node strips no types under
// node_modules). Plain JavaScript that old Nodes can read, so that they get a sentence and not a syntax error.
import { existsSync } from 'node:fs';

const NEEDED = 24;
const found = Number.parseInt(process.versions.node, 10);
if (found < NEEDED) {
  console.error(
    `transcribe-gateway needs Node ${NEEDED} or newer; this is ${process.versions.node}. ` +
      `In a clone, "npm ci" brings it: use "npm start" or "npx transcribe-gateway".`,
  );
  process.exit(1);
}
const source = new URL('./main.ts', import.meta.url);
const { main } = await import(existsSync(source) ? source.href : new URL('../dist/main.js', import.meta.url).href);
await main(process.argv);
