import { describe, expect, it } from 'vitest';
import { parseAwsPool } from '../../../src/config/aws-pool.ts';
import { loadConfig } from '../../../src/config/load.ts';

const ENTRY = { name: 'home', region: 'us-east-1' };

describe('GATEWAY_AWS_POOL', () => {
  it('takes entries and fills in what is left out', () => {
    const entries = [
      ENTRY,
      {
        name: 'second',
        region: 'us-gov-west-1',
        endpoint: 'https://vpce.example:8443',
        role_arn: 'arn:aws-us-gov:iam::123456789012:role/path/transcribe',
        priority: 2,
        weight: 3,
        streams: 200,
        starts_per_second: 50,
      },
    ];
    const { awsPool } = loadConfig({ GATEWAY_AWS_POOL: JSON.stringify(entries) });
    expect(parseAwsPool(awsPool ?? '')).toEqual([
      { ...ENTRY, priority: 1, weight: 1 },
      {
        name: 'second',
        region: 'us-gov-west-1',
        endpoint: 'https://vpce.example:8443',
        roleArn: 'arn:aws-us-gov:iam::123456789012:role/path/transcribe',
        priority: 2,
        weight: 3,
        streams: 200,
        startsPerSecond: 50,
      },
    ]);
  });

  it.each([
    ['no JSON', 'us-east-1', 'must be a JSON array'],
    ['no array', '{}', 'expected array'],
    ['no entry', '[]', 'must have an entry'],
    ['too many entries', JSON.stringify(Array.from({ length: 17 }, (_, n) => ({ ...ENTRY, name: `n${n}` }))), '16'],
    ['a name twice', JSON.stringify([ENTRY, ENTRY]), 'must not have a name twice'],
    ['a name that is no label', JSON.stringify([{ ...ENTRY, name: 'a b' }]), '0.name: must be letters'],
    ['no region', JSON.stringify([ENTRY, { name: 'b' }]), '1.region'],
    ['a region that is none', JSON.stringify([{ ...ENTRY, region: 'Virginia' }]), '0.region: must be the code'],
    [
      'an endpoint that is no URL',
      JSON.stringify([{ ...ENTRY, endpoint: 'localhost' }]),
      '0.endpoint: must be an http',
    ],
    ['a role that is no ARN', JSON.stringify([{ ...ENTRY, role_arn: 'transcribe' }]), '0.role_arn: must be the ARN'],
    ['a weight of nothing', JSON.stringify([{ ...ENTRY, weight: 0 }]), '0.weight'],
    ['a quota of nothing', JSON.stringify([{ ...ENTRY, streams: 0 }]), '0.streams'],
    ['half a start', JSON.stringify([{ ...ENTRY, starts_per_second: 0.5 }]), '0.starts_per_second'],
    ['an unknown field', JSON.stringify([{ ...ENTRY, rolearn: 'x' }]), 'rolearn'],
  ])('refuses %s', (_name, value, problem) => {
    expect(() => loadConfig({ GATEWAY_AWS_POOL: value })).toThrow(problem);
  });
});

it.each([
  ['GATEWAY_AWS_ENDPOINT', 'ftp://x'],
  ['GATEWAY_AWS_ENDPOINT', 'http://user:password@x'],
  ['GATEWAY_AWS_ENDPOINT', 'http://x/?a=b'],
  ['GATEWAY_AWS_FRAME_PATH', 'slow'],
  ['GATEWAY_AWS_MAX_STREAM_MS', '1'],
])('refuses %s=%s', (variable, value) => {
  expect(() => loadConfig({ [variable]: value })).toThrow(variable);
});
