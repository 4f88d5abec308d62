import { defineConfig } from 'vitest/config';

const stage = (name: string, testTimeout: number) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout,
    // What comes late on a busy machine has not failed.
    expect: { poll: { timeout: 5_000 } },
    hookTimeout: 30_000,
    globalSetup: name === 'unit' ? [] : ['test/support/redis-setup.ts', 'test/support/workers-setup.ts'],
  },
});

export default defineConfig({
  test: {
    projects: [
      stage('unit', 10_000),
      stage('contract', 60_000),
      stage('integration', 60_000),
      stage('e2e', 120_000),
      stage('chaos', 120_000),
      stage('fleet', 120_000),
      // These have packages or containers of their own, and no use for a Redis.
      { test: { ...stage('helm', 60_000).test, include: ['test/helm/*.test.ts'], globalSetup: [] } },
      { test: { ...stage('roll', 60_000).test, include: ['test/helm/roll/*.test.ts'], globalSetup: [] } },
      { test: { ...stage('compose', 300_000).test, globalSetup: [] } },
    ],
    // Tests mostly wait, for real speech and for what has died to come back; none measures how fast the machine is.
    maxWorkers: 5,
  },
});
