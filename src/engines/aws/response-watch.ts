import type { ClientHttp2Stream } from 'node:http2';
import type { StartStreamTranscriptionCommand } from '@aws-sdk/client-transcribe-streaming';

/** HTTP status from which on an answer is an error, and not a stream. */
const FIRST_ERROR_STATUS = 300;

/**
 * Looks at the answer below the SDK, where two things are seen that the SDK hides: the headers, because `send` of the
 * stock path resolves only with the first event, and the code of a reset, which ends the stock path's results as if
 * all had been said.
 */
export class ResponseWatch {
  #http2: ClientHttp2Stream | undefined;

  /**
   * @param command a command that has not been sent yet
   * @param onAccepted called when the service has answered with a stream
   */
  constructor(command: StartStreamTranscriptionCommand, onAccepted: () => void) {
    command.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args);
        const { statusCode, body } = result.response as { statusCode: number; body: ClientHttp2Stream };
        if (statusCode < FIRST_ERROR_STATUS) {
          this.#http2 = body;
          onAccepted();
        }
        return result;
      },
      // The lowest priority of this step is next to the wire: the SDK's own reading of the body comes above it.
      { step: 'deserialize', priority: 'low', name: 'responseWatch' },
    );
  }

  /** Code of HTTP/2 with which the stream was reset or lost (RFC 9113, section 7); 0 or undefined if it was not. */
  get resetCode(): number | undefined {
    return this.#http2?.rstCode;
  }

  /** Bytes of frames that the HTTP/2 stream has taken from the SDK and not yet sent. */
  get unsentBytes(): number {
    return this.#http2?.writableLength ?? 0;
  }
}
