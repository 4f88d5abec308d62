import type { IncomingHttpHeaders } from 'node:http';
import { type OriginPattern, parseOriginPattern } from '../config/origin-pattern.ts';

/** Which web pages may connect. It guards users of browsers; whoever has no browser sends what it likes. */
export class OriginPolicy {
  readonly #all: boolean;
  readonly #patterns: readonly OriginPattern[];
  readonly #trustsProxies: boolean;

  /**
   * @param allowed origins, `https://*.example.com` for all below a domain, or `*` for all
   * @param trustsProxies whether the headers of a proxy say which host the client asked for
   */
  constructor(allowed: readonly string[], trustsProxies: boolean) {
    this.#all = allowed.includes('*');
    this.#patterns = allowed.flatMap((origin) => {
      const pattern = parseOriginPattern(origin);
      if (pattern === undefined) return [];
      // Written the way browsers write origins, without the port that is the scheme's default.
      return [{ ...pattern, host: new URL(`${pattern.scheme}://${pattern.host}`).host }];
    });
    this.#trustsProxies = trustsProxies;
  }

  /**
   * Without an `Origin` it is no web page: Android's clients send none. That of the server itself is always allowed: the
   * gateway's own page has it, and clients on iOS send their server's URL. The scheme then says nothing, because TLS may
   * end before the gateway and WebSockets have schemes of their own.
   */
  allows(headers: IncomingHttpHeaders): boolean {
    const { origin } = headers;
    if (origin === undefined || this.#all) return true;
    // A page from a file or a sandbox says `null`; that is nobody's origin.
    if (!URL.canParse(origin)) return false;
    const { host, protocol } = new URL(origin);
    if (isSameHost(protocol, host, this.#hostOf(headers))) return true;
    const scheme = protocol.slice(0, -1);
    return this.#patterns.some(
      (pattern) =>
        pattern.scheme === scheme && (pattern.isWildcard ? host.endsWith(`.${pattern.host}`) : host === pattern.host),
    );
  }

  /** The host that the client asked for. */
  #hostOf({ host, 'x-forwarded-host': forwarded }: IncomingHttpHeaders): string | undefined {
    if (!this.#trustsProxies || forwarded === undefined) return host;
    // The proxy next to us wrote the last one.
    return forwarded.toString().split(',').at(-1)?.trim();
  }
}

const SECURE = /^(?:https|wss):$/;
const OF_THE_WEB = /^(?:https?|wss?):$/;

/** Compared as URLs, so that a port which is the scheme's default counts whether it is written or not. */
function isSameHost(protocol: string, host: string, asked: string | undefined): boolean {
  if (asked === undefined || !OF_THE_WEB.test(protocol)) return false;
  const url = `${SECURE.test(protocol) ? 'https' : 'http'}://${asked}`;
  return URL.canParse(url) && new URL(url).host === host.toLowerCase();
}
