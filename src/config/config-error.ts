/** What is shown of a secret. */
export const HIDDEN = '***';

/** Names the variable, shows its value and says what is wrong with it. */
export interface ConfigFault {
  readonly variable: string;
  readonly value: string;
  readonly problem: string;
}

/** Thrown with every fault at once, so that an operator mends them in one go. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly faults: readonly ConfigFault[];

  constructor(faults: readonly ConfigFault[]) {
    const lines = faults.map((f) => `  ${f.variable}=${JSON.stringify(f.value)} ${f.problem}`);
    super(`The configuration has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n${lines.join('\n')}`);
    this.faults = faults;
  }
}
