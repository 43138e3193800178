/**
 * The app's words: one catalogue for each language, with the same keys (a test says so). `{name}` is a value; `{n|person|people}` chooses by
 * the value `n` (one, else). Sentences of the server's codes come from contract/words, which is generated from the desk's words.
 */
import { shallowRef, watch } from 'vue'
import { useSettings, type Language } from '@/state'
import enCommon from './en/common'
import enMore from './en/more'
import enSample from './en/sample'
import zhCommon from './zh/common'
import zhMore from './zh/more'
import zhSample from './zh/sample'

export const catalogues = {
  zh: { ...zhCommon, ...zhSample, ...zhMore },
  en: { ...enCommon, ...enSample, ...enMore },
} as const satisfies Record<Language, Record<string, string>>

export type Key = keyof (typeof catalogues)['zh']
export type Values = Readonly<Record<string, unknown>>

function fill(text: string, values: Values): string {
  return text.replace(/\{(\w+)(?:\|([^|{}]*)\|([^|{}]*))?\}/g, (whole, name: string, one?: string, many?: string) => {
    const value = values[name]
    if (one !== undefined) return Number(value) === 1 ? one : (many ?? '')
    return value === undefined || value === null ? whole : String(value)
  })
}

function language(): Language {
  return useSettings().settings.language
}

/** The words for a key, in the chosen language; a key that is not there shows itself. */
export function t(key: Key | (string & {}), values: Values = {}): string {
  const words: Record<string, string> = catalogues[language()]
  return fill(words[key] ?? key, values)
}

/** Whether the catalogue has this key. */
export function known(key: string): key is Key {
  return key in catalogues.zh
}

/** As generated: for each kind of thing, the words of its codes. */
export type Section =
  'refusals' | 'attention' | 'flags' | 'pools' | 'kinds' | 'documents' | 'groups' | 'not_sampled' | 'roles' | 'sites'
type Sentences = Partial<Record<Section, Record<string, string>>>

const files = import.meta.glob<Sentences>('../../../contract/words/*.json', { import: 'default' })
const loaded = shallowRef<Partial<Record<Language, Sentences>>>({})

async function load(which: Language): Promise<void> {
  const file = files[`../../../contract/words/${which}.json`]
  if (!file || loaded.value[which]) return
  const found = await file()
  loaded.value = { ...loaded.value, [which]: found }
}

let following = false

/** The server's words in the chosen language; fetched when first asked for, and again when the language changes. */
function served(): Sentences {
  if (!following) {
    following = true
    watch(language, (now) => void load(now).catch(() => undefined), { immediate: true })
  }
  return loaded.value[language()] ?? {}
}

/** Fetch the server's words before a screen needs one of them at once. */
export function prepareWords(): void {
  served()
}

/** The server's word for a code of one kind of thing (`word('groups', 'fever_clinic')`); the code itself if there is none. */
export function word(section: Section, code: string, values: Values = {}): string {
  return fill(served()[section]?.[code] ?? code, values)
}

/** Every code of a section with its word. */
export function wordsOf(section: Section): { value: string; label: string }[] {
  return Object.entries(served()[section] ?? {}).map(([value, label]) => ({ value, label }))
}

/**
 * The sentence of a code: ours (`code.field.offline` in the catalogue), a refusal, a case of attention, a flag, a finding about a pool. One that
 * nobody knows is shown as it is, with what to do.
 */
export function sentence(code: string, values: Values = {}): string {
  const ours = `code.${code}`
  if (known(ours)) return t(ours, values)
  const found = served()
  for (const section of ['refusals', 'attention', 'flags', 'pools'] as const) {
    const text = found[section]?.[code]
    if (text) return fill(text, values)
  }
  return t('common.code', { code })
}

/** What to do about a case of attention, or nothing. */
export function advice(code: string): string | null {
  return served().attention?.[`${code}_do`] ?? null
}

/** What went wrong, in words, whatever was thrown. */
export function complaint(error: unknown): string {
  const { code, values } = (error ?? {}) as { code?: unknown; values?: Values }
  if (typeof code === 'string') return sentence(code, values ?? {})
  return t('common.failed')
}
