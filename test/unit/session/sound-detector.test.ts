import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../src/emulator/random.ts';
import { MONO_16_KHZ } from '../../../src/protocol/audio.ts';
import { SoundDetector } from '../../../src/session/sound-detector.ts';

const RATE = 16_000;
const random = seededRandom(7);

/** Noise of so many decibels of full scale, with a constant part. */
function noise(seconds: number, decibels: number, offset = 0): Buffer {
  const audio = Buffer.alloc(seconds * RATE * 2);
  // Of numbers spread evenly, the effective value is the largest by the root of three.
  const peak = 32_768 * 10 ** (decibels / 20) * Math.sqrt(3);
  for (let at = 0; at < audio.length; at += 2) audio.writeInt16LE(Math.round((random() * 2 - 1) * peak + offset), at);
  return audio;
}

/** Share of the frames in which there is a sound. */
function soundIn(detector: SoundDetector, audio: Buffer): number {
  const frames = detector.hear(audio);
  return frames.filter(({ isSound }) => isSound).length / frames.length;
}

describe('SoundDetector', () => {
  it('takes what is near nothing for silence, and everything else for a sound, until it knows the room', () => {
    const detector = new SoundDetector(MONO_16_KHZ);
    expect(soundIn(detector, Buffer.alloc(RATE))).toBe(0);
    expect(soundIn(detector, noise(2, -64))).toBe(0);
    expect(soundIn(detector, noise(2, -58))).toBeGreaterThan(0.99);
  });

  it.each([-62, -55, -46])(
    'learns a noise of %d dB, and hears what is 8 dB above it from the first frame on',
    (room) => {
      const detector = new SoundDetector(MONO_16_KHZ);
      soundIn(detector, noise(10, room));
      expect(soundIn(detector, noise(10, room))).toBeLessThan(0.01);
      expect(soundIn(detector, noise(0.2, room + 8))).toBe(1);
      expect(soundIn(detector, noise(10, room))).toBeLessThan(0.01);
    },
  );

  it('hears a word to its soft end, which alone it would not take for a sound', () => {
    const detector = new SoundDetector(MONO_16_KHZ);
    soundIn(detector, noise(12, -55));
    expect(soundIn(detector, noise(0.2, -51))).toBeLessThan(0.5);
    soundIn(detector, noise(1, -55));
    soundIn(detector, noise(0.2, -40));
    expect(soundIn(detector, noise(0.2, -51))).toBe(1);
  });

  it('does not take soft speech without an end for the noise of the room', () => {
    const detector = new SoundDetector(MONO_16_KHZ);
    soundIn(detector, noise(10, -60));
    // A minute of syllables of 180 ms, with 60 ms between them.
    let heard = 0;
    for (let syllable = 0; syllable < 250; syllable++) {
      heard += soundIn(detector, noise(0.18, -50)) === 1 ? 1 : 0;
      soundIn(detector, noise(0.06, -60));
    }
    expect(heard).toBe(250);
  });

  it('calls nothing silence that is as loud as speech, however even it is', () => {
    const detector = new SoundDetector(MONO_16_KHZ);
    expect(soundIn(detector, noise(30, -35))).toBe(1);
  });

  it('hears no constant part, which converters add', () => {
    expect(soundIn(new SoundDetector(MONO_16_KHZ), noise(1, -70, 2_000))).toBe(0);
  });

  it('hears a sound in one of two channels', () => {
    const detector = new SoundDetector({ sampleRate: RATE, channels: 2 });
    const [silent, loud] = [Buffer.alloc(RATE), noise(0.5, -30)];
    const both = Buffer.alloc(RATE * 2);
    for (let at = 0; at < RATE; at += 2) {
      silent.copy(both, at * 2, at, at + 2);
      loud.copy(both, at * 2 + 2, at, at + 2);
    }
    expect(soundIn(detector, both)).toBe(1);
  });

  it('judges what is there of a frame when no more comes', () => {
    const detector = new SoundDetector({ sampleRate: 22_050, channels: 1 });
    expect(detector.hear(noise(0.01, -30))).toEqual([]);
    expect(detector.flush()).toEqual({ samples: 160, isSound: true });
    expect(detector.flush()).toBeUndefined();
  });
});
