import { describe, expect, it } from 'vitest';
import { faultsHelp, parseFault } from '../../../src/cli/fault-option.ts';
import { FAULT_RULE } from '../../../src/emulator/faults.ts';

describe('parseFault', () => {
  it.each([
    ['reset:0.01', { fault: { kind: 'reset' }, rate: 0.01 }],
    ['disconnect:1,afterAudioMs=5000', { fault: { kind: 'disconnect', afterAudioMs: 5000 }, rate: 1 }],
    [
      'exception:.5,exception=LimitExceededException,afterAudioMs=1000-20000,message=Slow down = wait: 10 s',
      {
        fault: {
          kind: 'exception',
          exception: 'LimitExceededException',
          afterAudioMs: { min: 1000, max: 20_000 },
          message: 'Slow down = wait: 10 s',
        },
        rate: 0.5,
      },
    ],
    ['exception:0,exception=ConflictException,message=404', { fault: expect.objectContaining({ message: '404' }) }],
    ['http_error:0.1,status=503', { fault: { kind: 'http_error', status: 503 }, rate: 0.1 }],
    ['clock_skew:1.0,skewMs=-300000', { fault: { kind: 'clock_skew', skewMs: -300_000 }, rate: 1 }],
  ])('reads %s as a rule that the emulator takes', (text, rule) => {
    expect(parseFault(text)).toMatchObject(rule);
    expect(FAULT_RULE.safeParse(parseFault(text)).success).toBe(true);
  });

  it.each([
    ['reset', /KIND:RATE/],
    ['reset:', /rate.*between 0 and 1/],
    ['reset:1%', /rate.*between 0 and 1/],
    ['reset:1.5', /rate.*between 0 and 1/],
    ['reset:-0.1', /rate.*between 0 and 1/],
    ['reset-after-headers:0.1', /no fault "reset-after-headers".*reset_before_headers, reset, disconnect/],
    ['http_error:0.1', /http_error needs status/],
    ['http_error:0.1,status', /FIELD=VALUE/],
    ['http_error:0.1,status=200', /status: .*400/],
    ['http_error:0.1,status=busy', /status: .*number/],
    ['silence:0.1,status=503', /silence has no status.*afterAudioMs/],
    ['silence:0.1,kind=reset', /silence has no kind/],
    ['silence:0.1,afterAudioMs=soon', /afterAudioMs: .*milliseconds/],
    ['silence:0.1,afterAudioMs=5000-1000', /afterAudioMs: .*5000-1000/],
    ['exception:0.1,exception=Nonsense', /exception: .*BadRequestException/],
  ])('says what is wrong with %s', (text, message) => {
    expect(() => parseFault(text)).toThrow(message);
  });
});

describe('faultsHelp', () => {
  it('names every fault with its fields, and those that may be left out in brackets', () => {
    expect(faultsHelp()).toMatch(/^ *http_error +status \[errorType\]$/m);
    expect(faultsHelp()).toMatch(/^ *silence +\[afterAudioMs\]$/m);
    expect(faultsHelp().match(/^ {2}\w+/gm)).toHaveLength(FAULT_RULE.shape.fault.options.length);
  });
});
