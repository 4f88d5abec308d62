import { defineConfig } from 'vitest/config';

const stage = (name: string, testTimeout: number) => ({
  test: { name, include: [`test/${name}/**/*.test.ts`], testTimeout, hookTimeout: 30_000 },
});

export default defineConfig({
  test: {
    projects: [
      stage('unit', 10_000),
      stage('contract', 60_000),
      stage('integration', 60_000),
      stage('e2e', 120_000),
      stage('chaos', 120_000),
    ],
    // Two cores carry one real recogniser and its test; more at once would measure each other.
    maxWorkers: 2,
  },
});
