import { isIP } from 'node:net';
import { countedAs, groupsOf, isPrivateAddress, networkText } from '../limits/address.ts';

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
  return told(forwardedFor, trustedProxies) ?? parseAddress(peer);
}

/**
 * What a client's limits go by. A private address that no trusted proxy has told of is most likely that of a balancer, which
 * everybody comes through: limiting it would shut them all out together.
 * @returns undefined where clients cannot be told apart; else see `countedAs`
 */
export function countedAddress(
  peer: string | undefined,
  forwardedFor: string | undefined,
  trustedProxies: number,
): string | undefined {
  const known = told(forwardedFor, trustedProxies);
  if (known !== undefined) return countedAs(known);
  const address = parseAddress(peer);
  return address === undefined || isPrivateAddress(address) ? undefined : countedAs(address);
}

/** The address that the outermost of the proxies saw. */
function told(forwardedFor: string | undefined, trustedProxies: number): string | undefined {
  return trustedProxies === 0 ? undefined : parseAddress(forwardedFor?.split(',').at(-trustedProxies));
}

/** The part of an address that says whose network it is, for logs: the /24 of IPv4, the /48 of IPv6. */
export function networkOf(address: string): string {
  if (isIP(address) === 4) return `${address.slice(0, address.lastIndexOf('.'))}.0/24`;
  return networkText(groupsOf(address), SITE_GROUPS);
}

/** An address as proxies write it: also with a port, in brackets, with a zone, or IPv4 in the clothes of IPv6. */
function parseAddress(text: string | undefined): string | undefined {
  const [, bracketed, withPort, plain] =
    text?.trim().match(/^(?:\[([^\]]+)\](?::\d+)?|(\d+(?:\.\d+){3}):\d+|([^[\]]+))$/) ?? [];
  const address = (bracketed ?? withPort ?? plain)?.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '');
  return address !== undefined && isIP(address) !== 0 ? address.toLowerCase() : undefined;
}
