/** Scheme, `*.` for all below a domain, and host with its port if it has one. */
const PATTERN = /^([a-z][a-z\d+.-]*):\/\/(\*\.)?([\w.-]+(?::\d{1,5})?)$/i;

/** Web origins that a setting allows: one, or all below a domain. */
export interface OriginPattern {
  readonly scheme: string;
  readonly host: string;
  /** `*.` stood before the host. */
  readonly isWildcard: boolean;
}

/** Of `https://app.example.com` or `https://*.example.com`; undefined for anything else. */
export function parseOriginPattern(text: string): OriginPattern | undefined {
  const [, scheme, wildcard, host] = PATTERN.exec(text.toLowerCase()) ?? [];
  if (scheme === undefined || host === undefined) return undefined;
  return { scheme, host, isWildcard: wildcard !== undefined };
}
