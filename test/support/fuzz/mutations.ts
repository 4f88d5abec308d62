/** What becomes of recorded packets and bytes before they are sent. All draws come from a seed. */
import type { Random } from '../../../src/emulator/random.ts';
import type { Packet } from './attacker.ts';

/** Pieces that parsers look at. */
const TOKENS = [
  ...[
    '0',
    '1',
    '2',
    '3',
    '4',
    '5',
    '6',
    '40',
    '41',
    '42',
    '43',
    '44',
    '45',
    '46',
    '451-',
    '461-',
    '45999999999-',
    '45-',
  ],
  ...[
    '/',
    '/admin,',
    '/,',
    ',',
    '-',
    '[',
    ']',
    '{',
    '}',
    '"',
    '\\',
    '\\u0000',
    '\0',
    '\x1e',
    '\u2028',
    '\u{1f4a5}',
    'b',
    'b!!!!',
  ],
  ...[
    'null',
    'true',
    '-0',
    '1e999',
    '99999999999999999999',
    '[[[[',
    '{"a":',
    '"__proto__":',
    '{"_placeholder":true,"num":0}',
  ],
  ...[
    '{"_placeholder":true,"num":-1}',
    '{"_placeholder":true,"num":1e9}',
    '"connect"',
    '"error"',
    '"disconnect"',
    '"newListener"',
  ],
];
/** A piece that is said again and again, times this at most. */
const MAX_REPEATS = 200;
const MAX_PIECE = 40;

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[Math.floor(random() * from.length)] as T;
}

function position(random: Random, length: number): number {
  return Math.floor(random() * (length + 1));
}

/** One change to a text, at a place that is drawn. */
function changeText(text: string, random: Random, others: readonly Packet[]): string {
  const at = position(random, text.length);
  const end = Math.min(text.length, at + 1 + position(random, MAX_PIECE));
  switch (Math.floor(random() * 8)) {
    case 0:
      return text.slice(0, at) + text.slice(end);
    case 1:
      return text.slice(0, at) + pick(random, TOKENS) + text.slice(at);
    case 2:
      return text.slice(0, at) + pick(random, TOKENS) + text.slice(end);
    case 3:
      return text.slice(0, at) + text.slice(at, end).repeat(1 + position(random, MAX_REPEATS)) + text.slice(end);
    case 4:
      return text.slice(0, at) + String.fromCharCode(Math.floor(random() * 0x1_0000)) + text.slice(at + 1);
    case 5: {
      const other = pick(random, others);
      return text.slice(0, at) + (typeof other === 'string' ? other.slice(position(random, other.length)) : '');
    }
    case 6:
      return text.slice(0, at);
    default:
      return pick(random, TOKENS) + text.slice(Math.min(text.length, 1 + position(random, 3)));
  }
}

/** One change to bytes: a bit, a byte, a piece that is left out or doubled. */
export function changeBytes(bytes: Buffer, random: Random): Buffer {
  const at = position(random, bytes.length - 1);
  const end = Math.min(bytes.length, at + 1 + position(random, MAX_PIECE));
  const changed = Buffer.from(bytes);
  switch (Math.floor(random() * 4)) {
    case 0:
      changed[at] = (changed[at] ?? 0) ^ (1 << Math.floor(random() * 8));
      return changed;
    case 1:
      changed[at] = Math.floor(random() * 256);
      return changed;
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
    default:
      return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
  }
}

/** A recorded session with some of its packets changed, left out, doubled or out of order. */
export function mutate(session: readonly Packet[], random: Random, others: readonly Packet[]): Packet[] {
  const out: Packet[] = [];
  for (const packet of session) {
    const draw = random();
    if (draw < 0.05) continue;
    if (draw < 0.1) out.splice(position(random, out.length), 0, packet);
    else if (draw < 0.15) out.push(packet, packet);
    else if (draw < 0.45) {
      let changed: Packet = packet;
      for (let n = 1 + position(random, 2); n > 0; n -= 1) {
        changed = typeof changed === 'string' ? changeText(changed, random, others) : changeBytes(changed, random);
      }
      out.push(changed);
    } else out.push(packet);
  }
  return out;
}
