import { isIP } from 'node:net';

/** Groups of an IPv6 address that name a site; a household or a company has a /48 to itself. */
const SITE_GROUPS = 3;

/**
 * The address of a client that may have come through proxies. Each of them adds the address that it was called from to
 * the right of `X-Forwarded-For`; what stands further left than their number, the client may have written itself.
 *
 * A header that has fewer addresses than there are proxies, or something else in the place that counts, came another way
 * than configured: nothing in it can be trusted, and the peer is what is known.
 *
 * @param peer the other end of the TCP connection
 * @param forwardedFor the header's value, where it came several times joined with commas
 * @param trustedProxies how many proxies there are in front
 * @returns an IPv4 or IPv6 address; undefined if the connection is gone already
 */
export function clientAddress(
  peer: string | undefined,
  forwardedFor: string | undefined,
  trustedProxies: number,
): string | undefined {
  const told = trustedProxies === 0 ? undefined : forwardedFor?.split(',').at(-trustedProxies);
  return parseAddress(told) ?? parseAddress(peer);
}

/** The part of an address that says whose network it is, for logs: the /24 of IPv4, the /48 of IPv6. */
export function networkOf(address: string): string {
  if (isIP(address) === 4) return `${address.slice(0, address.lastIndexOf('.'))}.0/24`;
  const [head = '', tail] = address.split('::');
  const groups = head === '' ? [] : head.split(':');
  // What `::` stands for reaches beyond the site unless groups of the site stand behind it.
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length);
  groups.push(...Array.from({ length: missing }, () => '0'), ...(tail === undefined ? [] : tail.split(':')));
  return `${groups.slice(0, SITE_GROUPS).join(':')}::/48`;
}

/** An address as proxies write it: also with a port, in brackets, with a zone, or IPv4 in the clothes of IPv6. */
function parseAddress(text: string | undefined): string | undefined {
  const [, bracketed, withPort, plain] =
    text?.trim().match(/^(?:\[([^\]]+)\](?::\d+)?|(\d+(?:\.\d+){3}):\d+|([^[\]]+))$/) ?? [];
  const address = (bracketed ?? withPort ?? plain)?.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '');
  return address !== undefined && isIP(address) !== 0 ? address.toLowerCase() : undefined;
}
