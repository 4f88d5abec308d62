import type { RecogniserOptions } from '../options.ts';
import type { Random } from '../random.ts';
import { codedRecogniser } from './coded.ts';
import { engineRecogniser } from './engine-backed.ts';
import type { Recogniser } from './recogniser.ts';
import { scriptedRecogniser } from './scripted.ts';

export function createRecogniser(options: RecogniserOptions, random: Random): Recogniser {
  switch (options.kind) {
    case 'coded':
      return codedRecogniser(options, random);
    case 'scripted':
      return scriptedRecogniser(options, random);
    case 'engine':
      return engineRecogniser(options.engine);
  }
}
