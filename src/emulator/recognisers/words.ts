import type { HeardWord } from './recogniser.ts';

/** Cuts a text into words and punctuation marks and spreads the words evenly over the range, in samples. */
export function spreadWords(text: string, startSample: number, endSample: number): HeardWord[] {
  const tokens = text.split(/\s+/).filter((token) => token !== '');
  const words: HeardWord[] = [];
  const step = (endSample - startSample) / Math.max(1, tokens.length);
  for (const [index, token] of tokens.entries()) {
    const [, content = '', marks = ''] = /^(.*?)([.,?!;:]*)$/su.exec(token) ?? [];
    const end = Math.round(startSample + step * (index + 1));
    if (content !== '') {
      words.push({ content, type: 'word', startSample: Math.round(startSample + step * index), endSample: end });
    }
    for (const mark of marks) words.push({ content: mark, type: 'punctuation', startSample: end, endSample: end });
  }
  return words;
}
