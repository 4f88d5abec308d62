import { copyFileSync, mkdirSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/**
 * The bundled model's configuration, made for phones, waits up to 2 s of silence before it ends an utterance, and
 * prunes hard. These values bound that wait at 1.2 s and search with a wider beam for 10% more processor time.
 * An utterance ends 0.9 to 1.5 s after its last word with them.
 */
const MODEL_CONF = `--min-active=200
--max-active=4000
--beam=11.0
--lattice-beam=3.0
--acoustic-scale=1.0
--frame-subsampling-factor=3
--endpoint.silence-phones=1:2:3:4:5:6:7:8:9:10
--endpoint.rule2.min-trailing-silence=0.5
--endpoint.rule3.min-trailing-silence=0.8
--endpoint.rule4.min-trailing-silence=1.2
`;

const LINKED_PARTS = ['am', 'graph', 'ivector'] as const;

/**
 * Makes `directory`: the model at `modelPath` by links, with our configuration. libvosk reads its configuration from
 * the model directory only, and the installed package must not be changed.
 */
export function createPrivateModel(modelPath: string, directory: string): void {
  mkdirSync(join(directory, 'conf'), { recursive: true, mode: 0o700 });
  for (const part of LINKED_PARTS) {
    // The type matters on Windows alone, where a junction needs no privilege and an absolute target.
    symlinkSync(resolve(modelPath, part), join(directory, part), 'junction');
  }
  copyFileSync(join(modelPath, 'conf/mfcc.conf'), join(directory, 'conf/mfcc.conf'));
  writeFileSync(join(directory, 'conf/model.conf'), MODEL_CONF);
}

/** Removes what `createPrivateModel` made, however far it came. Idempotent. */
export function removePrivateModel(directory: string): void {
  for (const part of LINKED_PARTS) {
    // Links go first and by name, so that no recursive removal can ever walk through one into the installed model.
    try {
      unlinkSync(join(directory, part));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }
  rmSync(directory, { recursive: true, force: true });
}
