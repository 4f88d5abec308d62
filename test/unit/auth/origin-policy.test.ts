import { describe, expect, it } from 'vitest';
import { OriginPolicy } from '../../../src/auth/origin-policy.ts';

const ALLOWED = ['https://app.example.com', 'https://*.partner.org', 'http://localhost:3000', 'capacitor://localhost'];
const policy = new OriginPolicy(ALLOWED, false);
const allows = (origin: string | undefined, host = 'speech.example.com') =>
  policy.allows(origin === undefined ? { host } : { host, origin });

describe('an origin policy', () => {
  it.each([
    ['the listed origin', 'https://app.example.com'],
    ['the same with its default port', 'https://app.example.com:443'],
    ['any letter case', 'HTTPS://APP.example.com'],
    ['a host below a wildcard', 'https://a.b.partner.org'],
    ['a listed port', 'http://localhost:3000'],
    ['a scheme of apps', 'capacitor://localhost'],
    ['none at all, as native clients send', undefined],
  ])('allows %s', (_, origin) => {
    expect(allows(origin)).toBe(true);
  });

  it.each([
    ['another scheme', 'http://app.example.com'],
    ['another port', 'https://app.example.com:8443'],
    ['the parent of a wildcard', 'https://partner.org'],
    ['a host that only ends alike', 'https://evilpartner.org'],
    ['a host that only begins alike', 'https://app.example.com.evil.net'],
    ['a page without an origin', 'null'],
    ['what is no origin', 'https://'],
    ['an empty one', ''],
    ['a name in front of the host', 'https://app.example.com@evil.net'],
  ])('refuses %s', (_, origin) => {
    expect(allows(origin)).toBe(false);
  });

  it.each([
    'http://speech.example.com',
    'https://speech.example.com',
    'wss://SPEECH.example.com',
    'ws://speech.example.com',
  ])('always allows the server itself: %s', (origin) => {
    expect(allows(origin)).toBe(true);
  });

  it('tells ports of the server apart, but for the default of the scheme', () => {
    expect(allows('https://speech.example.com', 'speech.example.com:443')).toBe(true);
    expect(allows('http://speech.example.com:5001', 'speech.example.com:5001')).toBe(true);
    expect(allows('http://speech.example.com:5002', 'speech.example.com:5001')).toBe(false);
    expect(allows('http://speech.example.com', 'speech.example.com:5001')).toBe(false);
  });

  it('believes the forwarded host only where proxies are trusted', () => {
    const headers = {
      host: '10.0.0.7:5001',
      'x-forwarded-host': 'evil.net, speech.example.com',
      origin: 'https://speech.example.com',
    };
    expect(new OriginPolicy([], false).allows(headers)).toBe(false);
    expect(new OriginPolicy([], true).allows(headers)).toBe(true);
    expect(new OriginPolicy([], true).allows({ ...headers, origin: 'https://evil.net' })).toBe(false);
  });

  it('allows every page with *', () => {
    expect(new OriginPolicy(['*'], false).allows({ host: 'a', origin: 'null' })).toBe(true);
  });
});
