/**
 * What the phone says and does to be noticed: a tone for the kind of news, a spoken clip, a vibration. Nothing here is waited for. The clips are
 * two files made by scripts/voice.py (many phones have no Chinese voice of their own), fetched when first touched and kept by the service worker.
 */
import { useSettings, type Language } from '@/state'
import tableEn from './voice.en.json'
import tableZh from './voice.zh.json'
import fileEn from './voice.en.mp3?url'
import fileZh from './voice.zh.mp3?url'

/** accept: written; soft: nothing to do; warn: written, but look; refuse: not done; full: the tube is full; done: sealed. */
export type Tone = 'accept' | 'soft' | 'warn' | 'refuse' | 'full' | 'done'
export type Clip = keyof typeof tableZh

type Note = readonly [frequency: number, start: number, length: number, shape: OscillatorType]

/** They differ in pitch, rhythm and colour, so that one is never taken for another in the wind. */
export const TONES: Record<Tone, readonly Note[]> = {
  accept: [[1568, 0, 0.09, 'sine']],
  soft: [[440, 0, 0.05, 'sine']],
  warn: [
    [880, 0, 0.13, 'square'],
    [660, 0.16, 0.13, 'square'],
    [880, 0.32, 0.13, 'square'],
  ],
  refuse: [
    [196, 0, 0.32, 'sawtooth'],
    [147, 0.34, 0.36, 'sawtooth'],
  ],
  full: [
    [523, 0, 0.12, 'triangle'],
    [659, 0.13, 0.12, 'triangle'],
    [784, 0.26, 0.12, 'triangle'],
    [1047, 0.39, 0.3, 'triangle'],
  ],
  done: [
    [784, 0, 0.1, 'triangle'],
    [1047, 0.11, 0.22, 'triangle'],
  ],
}
export const BUZZES: Record<Tone, readonly number[]> = {
  accept: [40],
  soft: [15],
  warn: [150, 80, 150],
  refuse: [400, 100, 400],
  full: [80, 60, 80, 60, 300],
  done: [60, 40, 120],
}
const LOUDNESS: Record<OscillatorType, number> = { sine: 0.5, triangle: 0.6, square: 0.22, sawtooth: 0.3, custom: 0.4 }

const files: Record<Language, string> = { zh: fileZh, en: fileEn }
const tables: Record<Language, Record<string, number[]>> = { zh: tableZh, en: tableEn }

let context: AudioContext | null = null
const voices: Partial<Record<Language, Promise<AudioBuffer>>> = {}
let speaking: AudioBufferSourceNode | null = null
let ringing: GainNode | null = null

/** Fetch the clips before the first one is needed. Browsers make no sound before the first touch; signing on was one. */
export function prepareSound(): void {
  if (useSettings().settings.sound) wake()
}

function wake(): AudioContext | null {
  if (typeof AudioContext === 'undefined') return null
  context ??= new AudioContext({ latencyHint: 'interactive' })
  if (context.state === 'suspended') void context.resume()
  void voice(useSettings().settings.language)?.catch(() => undefined)
  return context
}

function voice(language: Language): Promise<AudioBuffer> | null {
  const player = context
  if (!player) return null
  voices[language] ??= fetch(files[language])
    .then((answer) => answer.arrayBuffer())
    .then((bytes) => player.decodeAudioData(bytes))
    .catch((error: unknown) => {
      // Try again at the next clip: the network, not the file, was missing.
      delete voices[language]
      throw error
    })
  return voices[language]
}

function ring(player: AudioContext, tone: Tone, volume: number): number {
  ringing?.disconnect()
  const out = player.createGain()
  out.gain.value = volume
  out.connect(player.destination)
  ringing = out
  let end = 0
  for (const [frequency, start, length, shape] of TONES[tone]) {
    const oscillator = player.createOscillator()
    const gain = player.createGain()
    const at = player.currentTime + start
    oscillator.type = shape
    oscillator.frequency.value = frequency
    gain.gain.setValueAtTime(0, at)
    gain.gain.linearRampToValueAtTime(LOUDNESS[shape], at + 0.008)
    gain.gain.setValueAtTime(LOUDNESS[shape], at + length * 0.6)
    gain.gain.linearRampToValueAtTime(0, at + length)
    oscillator.connect(gain).connect(out)
    oscillator.start(at)
    oscillator.stop(at + length + 0.02)
    end = Math.max(end, start + length)
  }
  return end
}

async function speak(clips: readonly Clip[], after: number, volume: number): Promise<void> {
  const { language } = useSettings().settings
  const asked = performance.now()
  const buffer = await voice(language)
  const player = context
  // Late words are worse than none: the next person stands there by now.
  if (!buffer || !player || performance.now() - asked > 1500) return
  hush()
  const gain = player.createGain()
  gain.gain.value = volume
  gain.connect(player.destination)
  let at = player.currentTime + after
  for (const clip of clips) {
    const [start, length] = tables[language][clip] ?? []
    if (start === undefined || length === undefined) continue
    const source = player.createBufferSource()
    source.buffer = buffer
    source.connect(gain)
    source.start(at, Math.max(0, start - 0.01), length + 0.06)
    at += length + 0.08
    speaking = source
  }
}

function hush(): void {
  try {
    speaking?.stop()
  } catch {
    // Not started yet.
  }
  speaking = null
}

/** Tone, words, vibration; what was being said before is cut off. */
export function signal(tone: Tone, ...clips: Clip[]): void {
  const { settings } = useSettings()
  if (settings.vibration) navigator.vibrate?.([...BUZZES[tone]])
  if (!settings.sound || settings.volume <= 0) return
  const player = wake()
  if (!player) return
  hush()
  const length = ring(player, tone, settings.volume)
  if (clips.length) void speak(clips, length + 0.04, settings.volume)
}

/** The clip of a number, if there is one and counts are to be spoken. */
export function numberClip(n: number): Clip[] {
  return useSettings().settings.speakCount && n >= 1 && n <= 20 ? [`n${n}` as Clip] : []
}
