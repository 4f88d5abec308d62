import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { formatSoak, soak } from '../support/soak.ts';

beforeAll(() => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
});
afterAll(() => void vi.unstubAllEnvs());

describe('Amazon Transcribe that fails all the time', () => {
  it('loses, doubles and moves no block that was not reported as a gap', async () => {
    const report = await soak({ sessions: 8, seconds: 20, seed: 3 });
    console.log(formatSoak(report));

    expect(report.clients.flatMap(({ record }) => record.problems)).toEqual([]);
    expect(report.clean).toBe(true);
    expect(report.leftOpen).toBe(0);
    // What was heard must not be an excuse: most of the audio is transcribed, and little of it is given up as lost.
    expect(report.total.sent).toBeGreaterThan(2_500);
    expect(report.total.coveredByGap.length).toBeLessThan(report.total.sent / 4);
    // It is no soak unless streams broke, were parked and were changed before their age limit.
    expect(Object.values(report.faults).reduce((all, count) => all + count, 0)).toBeGreaterThan(10);
    for (const how of ['parked', 'retired', 'broken']) expect(report.streamEnds[how]).toBeGreaterThan(0);
  });
});
