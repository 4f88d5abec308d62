import { describe, expect, it } from 'vitest';
import { clientAddress, networkOf } from '../../../src/socket/client-address.ts';

const PEER = '10.0.0.1';

describe('the address of a client', () => {
  it.each([
    ['the peer without proxies, whatever the client says', 0, '9.9.9.9', PEER],
    ['what the only proxy saw', 1, '203.0.113.7', '203.0.113.7'],
    ['what the only proxy saw, not what the client wrote before it', 1, '9.9.9.9, 203.0.113.7', '203.0.113.7'],
    ['what the first of two proxies saw', 2, '9.9.9.9, 203.0.113.7, 10.0.0.2', '203.0.113.7'],
    ['without blanks', 2, '203.0.113.7,10.0.0.2', '203.0.113.7'],
    ['the peer without the header', 1, undefined, PEER],
    ['the peer with an empty header', 1, '', PEER],
    ['the peer with fewer addresses than proxies, because not all of them were passed', 2, '203.0.113.7', PEER],
    ['the peer with a word in the place that counts', 1, '203.0.113.7, unknown', PEER],
    ['the peer with a hidden name', 1, '_hidden', PEER],
    ['the peer with an address out of range', 1, '203.0.113.999', PEER],
    ['the peer with a header of a megabyte', 1, 'x'.repeat(1_000_000), PEER],
    ['with a port', 1, '203.0.113.7:49152', '203.0.113.7'],
    ['of IPv6', 1, '2001:DB8::7', '2001:db8::7'],
    ['of IPv6 in brackets', 1, '[2001:db8::7]', '2001:db8::7'],
    ['of IPv6 with a port', 1, '[2001:db8::7]:49152', '2001:db8::7'],
    ['of IPv4 within IPv6', 1, '::ffff:203.0.113.7', '203.0.113.7'],
    ['of a link with its zone', 1, 'fe80::1%eth0', 'fe80::1'],
  ])('is %s', (_, trustedProxies, forwardedFor, address) => {
    expect(clientAddress(PEER, forwardedFor, trustedProxies)).toBe(address);
  });

  it('is IPv4 also where the gateway listens on IPv6', () => {
    expect(clientAddress('::ffff:10.0.0.1', undefined, 0)).toBe(PEER);
  });

  it('is unknown when the connection is gone and no proxy has told it', () => {
    expect(clientAddress(undefined, undefined, 1)).toBeUndefined();
    expect(clientAddress(undefined, '203.0.113.7', 1)).toBe('203.0.113.7');
  });
});

describe('the network of an address', () => {
  it.each([
    ['203.0.113.7', '203.0.113.0/24'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1::/48'],
    ['2001:db8::7', '2001:db8:0::/48'],
    ['2001::1:2:3:4:5:6', '2001:0:1::/48'],
    ['2001:db8:1::', '2001:db8:1::/48'],
    ['::1', '0:0:0::/48'],
    ['::', '0:0:0::/48'],
  ])('of %s is %s', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});
