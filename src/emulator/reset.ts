import type { ServerHttp2Stream } from 'node:http2';

/**
 * Resets a stream with RST_STREAM and nothing before it. Node's `close` first ends the writable side, which sends
 * END_STREAM: to the client all is then said, and the reset comes too late to be seen. Its `destroy` alone sends none,
 * but knows one code only.
 * @param code error code of HTTP/2 (RFC 9113, section 7)
 */
export function resetStream(http2: ServerHttp2Stream, code: number): void {
  http2.end = () => http2;
  http2.close(code);
  http2.destroy();
}
