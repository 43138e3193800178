/**
 * Codes on tubes, bags and boxes; a resident's own code; the code of a hand-over.
 *
 * Port of `dabai/kernel/codes.py`, held to it by `contract/vectors`. The check character is ISO 7064 MOD 37,36.
 */
import { Refusal, type Uuid } from '../types'

export type CodeKind = 'tube' | 'box' | 'bag'

export const LETTERS: Readonly<Record<CodeKind, string>> = { tube: 'T', box: 'X', bag: 'D' }
const MAX_LENGTH = 40

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'
const OWN = /^[TXD][0-9A-HJ-NP-Z]{5}[0-9]{5}[0-9A-Z]$/
const PLAIN = /^[0-9A-Z]{1,40}$/
const PRINTABLE = /^[0-9A-Z][0-9A-Z./_+*-]*$/
const CONTROL = /[\x00-\x1f\x7f]/

export interface Code {
  kind: CodeKind
  text: string
  /** Printed by us, proved by its check character. */
  own: boolean
  /** Shaped like ours, but the check fails: more likely one of ours mistyped than a foreign one. */
  suspect: boolean
}

/** The check character of ISO 7064 MOD 37,36 for `body` (digits and capitals). */
export function checkCharacter(body: string): string {
  return close(feed(36, body))
}

function feed(state: number, text: string): number {
  let product = state
  for (const character of text) {
    const total = (product + ALPHABET.indexOf(character)) % 36 || 36
    product = (total * 2) % 37
  }
  return product
}

function close(state: number): string {
  return ALPHABET.charAt((37 - state) % 36)
}

/** `n` codes of a batch from serial `start` on, in order. Throws `codes.prefix|batch|serial`. */
export function makeCodes(kind: CodeKind, prefix: string, batch: string, start: number, n: number): string[] {
  if (!/^[0-9A-HJ-NP-Z]{2}$/.test(prefix)) throw new Refusal('codes.prefix', 'prefix', { length: 2 })
  if (!/^[0-9A-HJ-NP-Z]{3}$/.test(batch)) throw new Refusal('codes.batch', 'batch', { length: 3 })
  if (start < 0 || n < 0 || start + n > 100_000) throw new Refusal('codes.serial', 'start', { limit: 99_999 })
  const head = LETTERS[kind] + prefix + batch
  return Array.from({ length: n }, (_, place) => {
    const body = head + String(start + place).padStart(5, '0')
    return body + checkCharacter(body)
  })
}

/** The kind of thing that carries this code if it is one of ours with a right check character, else null. */
export function ownKind(text: string): CodeKind | null {
  if (!OWN.test(text) || checkCharacter(text.slice(0, -1)) !== text.at(-1)) return null
  return (Object.keys(LETTERS) as CodeKind[]).find((kind) => LETTERS[kind] === text.charAt(0)) ?? null
}

/**
 * Whether `text` may be the code of a `kind`; else a refusal `codes.…` with `kind` as its field.
 *
 * Without `pattern` only our own codes pass; with one (for the whole code, from the profile) foreign codes that fit it
 * pass too. Of ours, the code of another kind never passes.
 */
export function checkCode(kind: CodeKind, text: string, pattern: string | null = null): Code {
  checkCharacters(kind, text)
  const found = ownKind(text)
  if (found === kind) return { kind, text, own: true, suspect: false }
  if (found !== null) throw new Refusal('codes.wrong_kind', kind, { found })
  const shaped = OWN.test(text) && text.startsWith(LETTERS[kind])
  if (pattern === null) throw new Refusal(shaped ? 'codes.check_character' : 'codes.not_ours', kind)
  if (!new RegExp(`^(?:${pattern})$`).test(text)) throw new Refusal('codes.pattern', kind)
  return { kind, text, own: false, suspect: shaped }
}

function checkCharacters(kind: CodeKind, text: string): void {
  if (PLAIN.test(text)) return
  if (!text) throw new Refusal('codes.empty', kind)
  if ([...text].length > MAX_LENGTH) throw new Refusal('codes.length', kind, { limit: MAX_LENGTH })
  if (CONTROL.test(text)) throw new Refusal('codes.control_character', kind)
  if (/^[0-9](?:\.[0-9]+)?[eE]\+[0-9]+$/.test(text)) throw new Refusal('codes.scientific', kind)
  if (text.toUpperCase() !== text) throw new Refusal('codes.lower_case', kind)
  if (!PRINTABLE.test(text)) throw new Refusal('codes.characters', kind)
}

/** What a scanner or a thumb meant: no spaces or line ends around it, capitals. */
export function cleanCode(text: string): string {
  return text
    .normalize('NFKC')
    .replace(/[\s\u200b-\u200f\ufeff]+/gu, '')
    .toUpperCase()
}

/** Whether the server can take this text as the code of anything: the form that facts ask for. */
export function canStore(text: string): boolean {
  return /^[0-9A-Z][0-9A-Z_.:/-]{0,39}$/.test(text)
}

// --- Residents --------------------------------------------------------------------------------------------------

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const RESIDENT = new RegExp(`^R[0-7][${CROCKFORD}]{25}[0-9A-Z]$`)
const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'

/** The code of a person: 28 characters, no personal data in it, the same for ever. */
export function residentCode(person: Uuid): string {
  const number = BigInt(`0x${person.replaceAll('-', '')}`)
  const digits = Array.from({ length: 26 }, (_, place) => Number((number >> BigInt(125 - 5 * place)) & 31n))
  const body = `R${digits.map((digit) => CROCKFORD.charAt(digit)).join('')}`
  return body + checkCharacter(body)
}

/** The person whose code this is. Refusals `codes.not_ours`, `codes.check_character` for the field `person`. */
export function readResidentCode(text: string): Uuid {
  const code = /^[\x00-\x7f]*$/.test(text) ? text.trim().toUpperCase() : ''
  if (!RESIDENT.test(code)) throw new Refusal('codes.not_ours', 'person')
  if (checkCharacter(code.slice(0, -1)) !== code.at(-1)) throw new Refusal('codes.check_character', 'person')
  const number = [...code.slice(1, -1)].reduce((sum, one) => (sum << 5n) | BigInt(CROCKFORD.indexOf(one)), 0n)
  return number
    .toString(16)
    .padStart(32, '0')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

// --- Hand-over --------------------------------------------------------------------------------------------------

const HAND_OVER = new RegExp(
  `^DBH1\\|(${UUID})\\|([0-9A-Z][0-9A-Z_.:/-]{0,39})\\|(0|[1-9][0-9]{0,4})` +
    '\\|([!-{}~]{1,480})\\|([0-9]{1,11})\\|([0-9A-Z])$',
)

/** What a hand-over code says. `at`: seconds since 1970. */
export interface HandOver {
  /** The id of the fact that the taker's phone reports: scanned twice it is one fact. */
  fact: Uuid
  box: string
  tubes: number
  given_by: string
  at: number
}

const hex = (text: string): string =>
  Array.from(new TextEncoder().encode(text), (byte) => byte.toString(16).padStart(2, '0'))
    .join('')
    .toUpperCase()

/** The text of the QR code that the giver's phone shows. */
export function handOverCode(given: HandOver): string {
  const body = `DBH1|${given.fact}|${given.box}|${given.tubes}|${encodeURIComponent(given.given_by)}|${given.at}|`
  return body + checkCharacter(hex(body))
}

/** What the code says. Refusals `codes.not_ours`, `codes.check_character` for the field `box`. */
export function readHandOverCode(text: string): HandOver {
  const code = text.trim()
  const [, fact, box, tubes, giver, at, check] = HAND_OVER.exec(code) ?? []
  if (!fact || !box || !tubes || !giver || !at) throw new Refusal('codes.not_ours', 'box')
  if (checkCharacter(hex(code.slice(0, -1))) !== check) throw new Refusal('codes.check_character', 'box')
  return { fact, box, tubes: Number(tubes), given_by: decoded(giver), at: Number(at) }
}

function decoded(giver: string): string {
  try {
    return decodeURIComponent(giver)
  } catch {
    return giver
  }
}

/** What a scanned or typed text is, before anybody asks what it should have been. */
export function whatIs(text: string): 'resident' | 'hand_over' | 'pairing' | CodeKind | 'unknown' {
  const code = text.trim()
  if (code.startsWith('DBH1|')) return 'hand_over'
  if (code.includes('#/pair?')) return 'pairing'
  if (RESIDENT.test(code.toUpperCase())) return 'resident'
  return ownKind(code.toUpperCase()) ?? 'unknown'
}
