/**
 * Identity documents: the one form of a number that identifies its holder. Port of `dabai/people/rules.py`.
 *
 * Valid, unsure (`doubt` names the reason; it identifies all the same), or a refusal that never repeats the number.
 */
import { Refusal } from '../types'

/** Codes of WS 364 CV02.01.101 where there is one (01–08, 99); 00 and 11–13 are ours. */
export const DOCUMENT_KINDS = ['00', '01', '02', '03', '04', '05', '06', '07', '08', '11', '12', '13', '99'] as const
export type DocumentKind = (typeof DOCUMENT_KINDS)[number]

export interface Document {
  kind: DocumentKind
  number: string
  doubt: string | null
}

const CITIZEN: ReadonlySet<string> = new Set(['01', '11', '12'])
/** Papers that print the holder's citizen number as their own: the number, not the paper, says who it is. */
const CARRIERS: ReadonlySet<string> = new Set(['02', '05', '99'])

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n)
const PROVINCES = [
  range(11, 16),
  range(21, 24),
  range(31, 38),
  range(41, 47),
  range(50, 55),
  range(61, 66),
  [71],
].flat()
const KIND_OF_PREFIX = new Map<string, DocumentKind>([
  ...PROVINCES.map((one) => [String(one), '01'] as const),
  ...['81', '82', '83'].map((one) => [one, '11'] as const),
  ...range(0, 10).map((one) => [`9${one}`, '12'] as const),
])

const WORD = /^[\p{L}\p{N}_]{2,32}$/u
/** The whole number after cleaning, and the characters kept: reissue digits change with each card and are dropped. */
const FORMS: Readonly<Record<string, readonly [RegExp, number | null]>> = {
  '02': [WORD, null],
  '03': [/^[A-Z0-9]{5,15}$/, null],
  '04': [WORD, null],
  '05': [WORD, null],
  '06': [/^[HM][0-9]{8}(?:[0-9]{2})?$/, 9],
  '07': [/^[0-9]{8}(?:[0-9]{2,3})?[A-Z]?$/, 8],
  '08': [/^[A-Z0-9]{8,12}$/, null],
  '12': [/^[A-Z]{3}[0-9]{12}$/, null],
  '13': [/^(?:C[0-9]{8}|C[A-HJ-NP-Z][0-9]{7})$/, null],
  '99': [WORD, null],
}
const GUESSES: readonly (readonly [RegExp, DocumentKind])[] = [
  [/^[HM][0-9]{8}(?:[0-9]{2})?$/, '06'],
  [/^(?:C[0-9]{8}|C[A-HJ-NP-Z][0-9]{7})$/, '13'],
  [/^[0-9]{8}(?:[0-9]{2})?[A-Z]?$/, '07'],
  [/^[A-Z]{3}[0-9]{12}$/, '12'],
  [/^[A-Z][0-9]{9}$/, '08'],
  [/^(?=.*[0-9])[A-Z0-9]{5,15}$/, '03'],
]
const NO_NUMBER: ReadonlySet<string> = new Set([
  '',
  '0',
  '/',
  '无',
  '无证',
  '暂无',
  '没有',
  '未办',
  'NONE',
  'NA',
  'N/A',
  'NULL',
])

/** Characters that nobody sees and some programs write. */
export const INVISIBLE = '\u00ad\u061c\u180e\ufeff\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufff9-\ufffb'
const NOISE = new RegExp(`[${INVISIBLE} \\t\\r\\n\\v\\f'"\`‘’“”\\-‐‑‒–—_()\\[\\].,:·]`, 'gu')
const CROSS = /[×ХхΧχ]/gu
export const SCIENTIFIC = /^\s*[0-9](?:\.[0-9]+[eE]\+?|[eE]\+)[0-9]{1,3}\s*$/

const WEIGHTS = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
const CHECK = '10X98765432'

/** The 18th character that GB 11643 asks for after these 17 digits. */
export function checkDigit(first17: string): string {
  const total = WEIGHTS.reduce((sum, weight, place) => sum + weight * Number(first17[place]), 0)
  return CHECK.charAt(total % 11)
}

/** `YYYY-MM-DD` of eight digits, or null where no such day exists (or before 1850). */
function birthDay(digits: string): string | null {
  const [year, month, day] = [digits.slice(0, 4), digits.slice(4, 6), digits.slice(6)].map(Number)
  if (year === undefined || month === undefined || day === undefined || year < 1850) return null
  const date = new Date(Date.UTC(year, month - 1, day))
  const real = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day
  return real ? date.toISOString().slice(0, 10) : null
}

/**
 * The one form of a document that identifies its holder, or a refusal `documents.…` with the field `number`.
 *
 * Spaces, zero-width and full-width characters and a small x are repaired, 15 digits become 18, reissue digits are
 * dropped. An empty `kind`, and "none" beside a number, mean: guess. `today` is `YYYY-MM-DD`.
 */
export function normaliseDocument(kind: string, raw: string, today: string): Document {
  const known = knownKind(kind)
  if (SCIENTIFIC.test(raw)) throw new Refusal('documents.scientific', 'number')
  const text = cleanNumber(raw)
  if (NO_NUMBER.has(text)) return withoutNumber(known)
  if (text.includes('*')) throw new Refusal('documents.masked', 'number')
  return normalise(known === '00' ? guessKind(text) : known, text, today)
}

function normalise(kind: DocumentKind, text: string, today: string): Document {
  if (CARRIERS.has(kind) && looksCitizen(text)) {
    try {
      return citizen(text, today)
    } catch {
      return { kind, number: text, doubt: null } // the paper's own number, by chance of that length
    }
  }
  if (CITIZEN.has(kind) && !(kind === '12' && /^\p{L}/u.test(text))) return citizenText(text, today)
  const form = FORMS[kind]
  if (!form || !form[0].test(text)) {
    throw new Refusal('documents.format', 'number', { kind, looks_like: guessKind(text) })
  }
  return { kind, number: form[1] === null ? text : text.slice(0, form[1]), doubt: null }
}

function knownKind(kind: string): DocumentKind {
  const found = DOCUMENT_KINDS.find((one) => one === (kind || '00'))
  if (!found) throw new Refusal('documents.kind_unknown', 'kind')
  return found
}

function withoutNumber(kind: DocumentKind): Document {
  if (kind !== '00') throw new Refusal('documents.empty', 'number', { kind })
  return { kind: '00', number: '', doubt: null }
}

function citizenText(text: string, today: string): Document {
  if (looksCitizen(text)) return citizen(text, today)
  if (!/^[0-9]+X?$/.test(text)) throw new Refusal('documents.characters', 'number', { looks_like: guessKind(text) })
  if (text.length !== 15 || text.endsWith('X')) {
    throw new Refusal('documents.length', 'number', { length: text.length })
  }
  return oldCitizen(text)
}

const looksCitizen = (text: string): boolean => /^[0-9]{17}[0-9X]$/.test(text)

function citizen(number: string, today: string): Document {
  if (checkDigit(number.slice(0, 17)) !== number[17]) {
    throw new Refusal(number.endsWith('000') ? 'documents.precision_lost' : 'documents.check_digit', 'number')
  }
  const kind = KIND_OF_PREFIX.get(number.slice(0, 2))
  const born = birthDay(number.slice(6, 14))
  if (kind && born && born <= today) return { kind, number, doubt: null }
  const reason = !born ? 'date_not_real' : born <= today ? 'area_unknown' : 'date_future'
  return { kind: kind ?? '01', number, doubt: `documents.${reason}` }
}

/** 15 digits to 18. With no check digit to vouch for it, a day that does not exist is a typing error. */
function oldCitizen(text: string): Document {
  const longer = `${text.slice(0, 6)}19${text.slice(6)}`
  if (!birthDay(longer.slice(6, 14))) throw new Refusal('documents.date_not_real', 'number')
  return { kind: '01', number: longer + checkDigit(longer), doubt: 'documents.no_check_digit' }
}

/** Full-width to half-width, capitals, and nothing that a printer, a scanner or a sheet put in between. */
export function cleanNumber(raw: string): string {
  const cut = [...raw].slice(0, 128).join('')
  const text = cut.endsWith('.0') ? cut.slice(0, -2) : cut
  return text.normalize('NFKC').replace(NOISE, '').replace(CROSS, 'X').toUpperCase()
}

/** The kind that a number without a kind most likely is; near misses of a citizen number count as one. */
export function guessKind(raw: string): DocumentKind {
  const text = cleanNumber(raw)
  if (NO_NUMBER.has(text)) return '00'
  if (/^(?:[0-9]{14,20}|[0-9]{13,19}X)$/.test(text)) {
    return text.length === 18 ? (KIND_OF_PREFIX.get(text.slice(0, 2)) ?? '01') : '01'
  }
  return GUESSES.find(([pattern]) => pattern.test(text))?.[1] ?? '99'
}

const carriesBirth = (one: Document): boolean => CITIZEN.has(one.kind) && one.number.length === 18

/** The day of birth that an 18-digit number carries (`YYYY-MM-DD`), or null. */
export function birthDate(one: Document): string | null {
  return carriesBirth(one) ? birthDay(one.number.slice(6, 14)) : null
}

/** GB/T 2261.1: 1 male, 2 female by the order digit of an 18-digit number; 0 unknown for everything else. */
export function sexOf(one: Document): number {
  return carriesBirth(one) ? 2 - (Number(one.number[16]) % 2) : 0
}

/** The last four characters, by which staff search; empty when the number is too short to give them away. */
export function lastFour(number: string): string {
  return number.length >= 8 ? number.slice(-4) : ''
}
