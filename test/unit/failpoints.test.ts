import { afterEach, describe, expect, it, vi } from 'vitest';
import { armFailpoints, failpoint, parseFailpoints } from '../../src/failpoints.ts';

afterEach(() => {
  armFailpoints(undefined);
  vi.restoreAllMocks();
});

describe('failpoints', () => {
  it('are read with their chances', () => {
    expect(parseFailpoints('commit.after=0.05, claim.before=1')).toEqual({ 'commit.after': 0.05, 'claim.before': 1 });
    for (const text of ['', 'commit', 'nowhere=1', 'replay=2', 'replay=-1', 'replay=x', 'replay=0.1=0.2']) {
      expect(parseFailpoints(text)).toBeUndefined();
    }
  });

  it('kill the process where they are armed, and nowhere else', () => {
    const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
    failpoint('replay');
    armFailpoints({ replay: 1, 'ack.before': 0 });
    failpoint('ack.before');
    failpoint('ack.after');
    expect(kill).not.toHaveBeenCalled();
    failpoint('replay');
    expect(kill).toHaveBeenCalledExactlyOnceWith(process.pid, 'SIGKILL');
  });
});
