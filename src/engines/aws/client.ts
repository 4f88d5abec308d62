import { TranscribeStreamingClient, type TranscribeStreamingClientConfig } from '@aws-sdk/client-transcribe-streaming';
import { fromTemporaryCredentials } from '@aws-sdk/credential-providers';
import type { AwsPoolEntry } from '../../config/aws-pool.ts';
import type { Logger } from '../../log.ts';
import { fastFramePath } from './frames/frame-path.ts';

/** Seen in the account's audit log beside the role. */
const ROLE_SESSION_NAME = 'transcribe-gateway';
/** Longest hint of the SDK that is logged. */
const HINT_CHARACTERS = 120;

export type FramePath = 'fast' | 'stock';

/**
 * The client of one pool entry. Credentials come from the SDK's default chain alone, or by a role that is assumed with
 * them.
 */
export function createClient(entry: AwsPoolEntry, framePath: FramePath, log: Logger): TranscribeStreamingClient {
  const { region, endpoint, roleArn } = entry;
  return new TranscribeStreamingClient({
    region,
    ...(endpoint !== undefined && { endpoint }),
    ...(roleArn !== undefined && {
      credentials: fromTemporaryCredentials({
        params: { RoleArn: roleArn, RoleSessionName: ROLE_SESSION_NAME },
        logger: sdkLogger(log),
      }),
    }),
    // Documented: one stream per HTTP/2 session.
    requestHandler: { disableConcurrentStreams: true },
    // The offset would be taken from the Date header when `send` resolves, and a late first event then spoils every
    // later signature. The host's clock is right, or everything else is wrong too.
    disableClockSkewCorrection: true,
    // Streams are never retried by the SDK; the session does it, and knows what to replay.
    maxAttempts: 1,
    logger: sdkLogger(log),
    ...(framePath === 'fast' && fastFramePath()),
  });
}

/**
 * What the SDK says, for our log. Whole requests and answers go to `info` and `error`, which are dropped: a failure is
 * thrown as well, and is logged where it is handled. Of its warnings only the text before the first colon is kept: some
 * show the value that they are about.
 */
function sdkLogger(log: Logger): NonNullable<TranscribeStreamingClientConfig['logger']> {
  return {
    trace() {},
    debug(...content) {
      const hint = hintOf(content);
      if (hint !== undefined) log.debug({ hint }, 'the AWS SDK says');
    },
    info() {},
    warn(...content) {
      const hint = hintOf(content);
      log.warn({ hint }, 'the AWS SDK warns');
    },
    error() {},
  };
}

function hintOf([first]: readonly unknown[]): string | undefined {
  return typeof first === 'string' ? first.split(':', 1)[0]?.slice(0, HINT_CHARACTERS) : undefined;
}
