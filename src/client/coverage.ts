/**
 * How far the audio is covered by entries that the application has been given, by the transcription's own positions. A
 * new session begins there: audio before it would double words, and leaving out audio after it would lose some.
 */
export class Coverage {
  /** By channel: the end of its last entry. */
  readonly #ends: number[];
  #acked = 0;

  constructor(channels: number) {
    this.#ends = Array.from({ length: channels }, () => 0);
  }

  /** The server holds everything before it as covered. */
  get acked(): number {
    return this.#acked;
  }

  /** Where a new session would begin: the later of what was acknowledged and what every channel has entries for. */
  get position(): number {
    return Math.max(this.#acked, Math.min(...this.#ends));
  }

  /** Where the audio of a channel begins that has no entry yet. */
  channelPosition(channel: number): number {
    return Math.max(this.position, this.#ends[channel] ?? 0);
  }

  final(end: number, channel = 0): void {
    if (channel < this.#ends.length) this.#ends[channel] = Math.max(this.#ends[channel] ?? 0, end);
  }

  /** A gap is one in all channels. */
  gap(end: number): void {
    for (const channel of this.#ends.keys()) this.final(end, channel);
  }

  acknowledge(position: number): void {
    this.#acked = Math.max(this.#acked, position);
  }
}
