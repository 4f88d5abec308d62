export const DEFAULT_URL = 'http://localhost:5001';

export interface StreamCommandOptions {
  readonly sample: boolean;
  readonly language: string;
  readonly url: string;
  /** API key or JWT. */
  readonly token: string | undefined;
  readonly fast: boolean;
  readonly json: boolean;
  readonly protocol: '1' | '2';
  /** Seconds without the gateway. */
  readonly giveUpAfter: number;
}
