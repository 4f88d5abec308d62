import { BYTES_PER_SAMPLE } from '../protocol/audio.ts';

/**
 * Audio quieter than this holds no speech that an engine could hear: −60 dB of full scale, near the noise of a muted
 * microphone's converter and far under breath noise.
 */
const SILENCE_PEAK = 33;

/**
 * True if no sample is louder than the noise of silence.
 * @param audio PCM, signed 16 bit little-endian, whole samples of all channels, interleaved
 * @param channels how many are interleaved
 * @param channel only this one, from 0; all by default
 */
export function isSilent(audio: Buffer, channels = 1, channel?: number): boolean {
  const step = BYTES_PER_SAMPLE * (channel === undefined ? 1 : channels);
  for (let i = (channel ?? 0) * BYTES_PER_SAMPLE; i < audio.length; i += step) {
    if (Math.abs(audio.readInt16LE(i)) > SILENCE_PEAK) return false;
  }
  return true;
}
