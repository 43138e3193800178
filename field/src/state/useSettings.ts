import { reactive, readonly } from 'vue'

export type Language = 'zh' | 'en'
export type Mode = 'day' | 'night' | 'sunlight'

export interface Settings {
  language: Language
  mode: Mode
  gloves: boolean
  sound: boolean
  vibration: boolean
  /** 0 to 1. */
  volume: number
  leftHand: boolean
  /** Say the count after each person. */
  speakCount: boolean
}

export const DEFAULTS: Settings = {
  language: 'zh',
  mode: 'day',
  gloves: true,
  sound: true,
  vibration: true,
  volume: 1,
  leftHand: false,
  speakCount: true,
}

const KEY = 'dabai.field.settings'

/** What was stored, over the defaults; unknown and mistyped entries are dropped. */
export function readSettings(text: string | null): Settings {
  const found: Settings = { ...DEFAULTS }
  try {
    const stored: unknown = JSON.parse(text ?? '{}')
    if (stored && typeof stored === 'object') {
      for (const [name, value] of Object.entries(stored)) {
        if (name in DEFAULTS && typeof value === typeof DEFAULTS[name as keyof Settings]) {
          Object.assign(found, { [name]: value })
        }
      }
    }
  } catch {
    // A damaged entry is as good as none.
  }
  return found
}

const store = typeof localStorage === 'undefined' ? null : localStorage
const settings = reactive<Settings>(readSettings(store?.getItem(KEY) ?? null))

export interface SettingsState {
  settings: Readonly<Settings>
  set(changes: Partial<Settings>): void
  /** Back to how the app comes; also what a wiped phone does. */
  reset(): void
}

/** How the app looks and sounds on this phone. Nothing personal, so it lies in clear. */
export function useSettings(): SettingsState {
  const set = (changes: Partial<Settings>): void => {
    Object.assign(settings, changes)
    store?.setItem(KEY, JSON.stringify(settings))
  }
  return { settings: readonly(settings), set, reset: () => set(DEFAULTS) }
}
