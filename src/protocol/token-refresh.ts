import { z } from 'zod';
import { parse } from './payloads.ts';

/** Longest token that is looked at, in characters: one with many claims has some thousand. */
export const MAX_TOKEN_CHARACTERS = 8_192;

const fields = z.object({ token: z.string().max(MAX_TOKEN_CHARACTERS) });

/** The token of `refresh_token`. @throws GatewayError `bad_request`, naming the field and never its value */
export function parseTokenRefresh(data: unknown): string {
  return parse('refresh_token', fields, data ?? {}).token;
}
