import type { HeardWord } from './recognisers/recogniser.ts';

/** A run of words that is one piece of personal data; indexes into the words, the end not included. */
export interface PersonalData {
  readonly type: 'EMAIL' | 'PHONE' | 'PIN' | 'SSN' | 'CREDIT_DEBIT_NUMBER';
  readonly start: number;
  readonly end: number;
}

const SPOKEN_DIGITS = new Set('oh zero one two three four five six seven eight nine'.split(' '));
/** Fewer digits spoken one by one are taken for plain counting words. */
const MIN_SPOKEN_DIGITS = 3;
const EMAIL = /^[^\s@]+@[^\s@]+\.[^\s@]+$/;
const NUMBER = /^\+?\d[\d.,()-]*$/;

function typeOfNumber(digits: number, text: string): PersonalData['type'] {
  if (/^\d{3}-\d{2}-\d{4}$/.test(text)) return 'SSN';
  if (digits >= 13) return 'CREDIT_DEBIT_NUMBER';
  return digits >= 7 ? 'PHONE' : 'PIN';
}

/**
 * Finds numbers and e-mail addresses: a stand-in for what AWS recognises, enough for a client to see that redaction and
 * identification work.
 * @param types the types asked for; undefined or with `ALL`: all
 */
export function findPersonalData(words: readonly HeardWord[], types: readonly string[] | undefined): PersonalData[] {
  const found: PersonalData[] = [];
  for (let start = 0; start < words.length; ) {
    let end = start;
    while (SPOKEN_DIGITS.has(words[end]?.content.toLowerCase() ?? '')) end += 1;
    const content = words[start]?.content ?? '';
    if (end - start >= MIN_SPOKEN_DIGITS) {
      found.push({ type: typeOfNumber(end - start, ''), start, end });
      start = end;
      continue;
    }
    if (EMAIL.test(content)) found.push({ type: 'EMAIL', start, end: start + 1 });
    else if (NUMBER.test(content)) {
      found.push({ type: typeOfNumber(content.replaceAll(/\D/g, '').length, content), start, end: start + 1 });
    }
    start += 1;
  }
  if (types === undefined || types.includes('ALL')) return found;
  return found.filter((entry) => types.includes(entry.type));
}
