import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { LANGUAGE_CODES } from '../../../../src/emulator/languages.ts';
import { awsCapabilities } from '../../../../src/engines/aws/capabilities.ts';
import { createClient } from '../../../../src/engines/aws/client.ts';

const ENTRY = { name: 'home', region: 'eu-central-1', priority: 1, weight: 1 };

function start() {
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  return { lines, client: createClient(ENTRY, 'fast', log) };
}

describe('the client of an entry', () => {
  it('has its region, and no retries', async () => {
    const { client } = start();
    expect(await client.config.region()).toBe('eu-central-1');
    expect(await client.config.maxAttempts()).toBe(1);
  });

  it('logs hints of the SDK, and neither the values in them nor whole requests and answers', () => {
    const { client, lines } = start();
    const { logger } = client.config;
    logger.debug('@aws-sdk/credential-provider-env - fromEnv');
    logger.warn('Expected string, got number: private words');
    logger.warn({ Transcript: 'private words' });
    logger.info({ input: 'private words' });
    logger.error({ error: 'private words' });
    logger.trace?.('private words');
    expect(lines.map(({ msg, hint }) => [msg, hint])).toEqual([
      ['the AWS SDK says', '@aws-sdk/credential-provider-env - fromEnv'],
      ['the AWS SDK warns', 'Expected string, got number'],
      ['the AWS SDK warns', undefined],
    ]);
    expect(JSON.stringify(lines)).not.toContain('private');
  });
});

it('the languages are those that the emulator was written down with', () => {
  expect(new Set(awsCapabilities(1).languages)).toEqual(LANGUAGE_CODES);
});
