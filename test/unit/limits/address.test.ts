import { describe, expect, it } from 'vitest';
import { countedAs, isPrivateAddress } from '../../../src/limits/address.ts';
import { countedAddress } from '../../../src/socket/client-address.ts';

describe('an address stands for', () => {
  it.each([
    ['itself where it is IPv4', '203.0.113.7', '203.0.113.7'],
    ['IPv4 in the clothes of IPv6', '::ffff:203.0.113.7', '203.0.113.7'],
    ['IPv4 in the clothes of IPv6, in hexadecimal', '::ffff:cb00:7107', '203.0.113.7'],
    ['the /64 of IPv6', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['the /64 of IPv6 where zeros are left out within it', '2001:db8::5:6', '2001:db8:0:0::/64'],
    ['the /64 of IPv6 with leading zeros', '2001:0db8:0000:0002::1', '2001:db8:0:2::/64'],
    ['the /64 of IPv6 with IPv4 at its end', '64:ff9b::203.0.113.7', '64:ff9b:0:0::/64'],
  ])('%s', (_, address, counted) => {
    expect(countedAs(address)).toBe(counted);
  });
});

describe('private', () => {
  it.each([
    '10.1.2.3',
    '172.31.0.1',
    '192.168.1.1',
    '127.0.0.1',
    '169.254.1.1',
    '100.64.0.1',
    '::1',
    'fd00::1',
    'fe80::1',
  ])('is %s', (address) => expect(isPrivateAddress(address)).toBe(true));
  it.each(['172.32.0.1', '100.128.0.1', '8.8.8.8', '2001:db8::1', 'fec0::1'])('is not %s', (address) =>
    expect(isPrivateAddress(address)).toBe(false),
  );
});

describe('limits go by', () => {
  it.each([
    ['the peer where it is public', '203.0.113.7', undefined, 0, '203.0.113.7'],
    ['nothing where the peer is private and nobody is trusted to tell more', '10.0.0.1', '203.0.113.7', 0, undefined],
    ['nothing where a proxy that is trusted does not tell', '10.0.0.1', undefined, 1, undefined],
    ['what a trusted proxy tells', '10.0.0.1', '203.0.113.7', 1, '203.0.113.7'],
    ['what a trusted proxy tells, also where it is private', '10.0.0.1', '192.168.7.7', 1, '192.168.7.7'],
    ['nothing where the connection is gone', undefined, undefined, 0, undefined],
  ])('%s', (_, peer, forwardedFor, proxies, counted) => {
    expect(countedAddress(peer, forwardedFor, proxies)).toBe(counted);
  });
});
