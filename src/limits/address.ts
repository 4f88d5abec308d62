import { BlockList, isIP } from 'node:net';

/** Groups of an IPv6 address that name a network of one customer: the smallest that is given out is a /64. */
const NETWORK_GROUPS = 4;

/** Addresses of which nobody is told on the internet: whoever connects from there is a neighbour, or a proxy. */
const PRIVATE = new BlockList();
for (const [network, bits] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  // Shared by the customers of a carrier, and by the pods and balancers of clouds.
  ['100.64.0.0', 10],
] as const) {
  PRIVATE.addSubnet(network, bits, 'ipv4');
}
PRIVATE.addAddress('::1', 'ipv6');
PRIVATE.addSubnet('fc00::', 7, 'ipv6');
PRIVATE.addSubnet('fe80::', 10, 'ipv6');

/** @param address an IPv4 or IPv6 address */
export function isPrivateAddress(address: string): boolean {
  return PRIVATE.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6');
}

/**
 * What stands for an address where something is counted by it: an IPv4 address itself, also in the clothes of IPv6; of IPv6
 * the /64, of which a client has all addresses.
 */
export function countedAs(address: string): string {
  if (isIP(address) === 4) return address;
  const groups = groupsOf(address);
  const [a, b, c, d, e, mapped, high = 0, low = 0] = groups;
  if (mapped === 0xffff && [a, b, c, d, e].every((group) => group === 0)) {
    return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');
  }
  return networkText(groups, NETWORK_GROUPS);
}

/** The first groups of an IPv6 address as text, with the number of their bits. */
export function networkText(groups: readonly number[], count: number): string {
  const shown = groups.slice(0, count).map((group) => group.toString(16));
  return `${shown.join(':')}::/${16 * count}`;
}

/** The eight groups of an IPv6 address. */
export function groupsOf(address: string): number[] {
  // IPv4 at the end is two groups.
  const plain = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = parts.slice(0, 4).map(Number);
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  });
  const [head = '', tail] = plain.split('::');
  const parse = (text: string | undefined) => (text ? text.split(':').map((group) => Number.parseInt(group, 16)) : []);
  const [first, last] = [parse(head), parse(tail)];
  return [...first, ...new Array<number>(Math.max(0, 8 - first.length - last.length)).fill(0), ...last];
}
