/** Names and phone numbers in their one normal form. Port of `dabai/people/rules.py`. */
import { Refusal } from '../types'
import { INVISIBLE, SCIENTIFIC } from './documents'

export const HAN = '\u2e80-\u2fdf\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{323af}'
const DOTS = /\s*[·•‧・･∙⋅●▪᛫]\s*/gu
const HAN_GAP = new RegExp(`(?<=[${HAN}])\\s+|\\s+(?=[${HAN}])`, 'gu')
const HAN_STOP = new RegExp(`(?<=[${HAN}])[.。](?=[${HAN}])`, 'gu')
const UNSEEN = new RegExp(`[${INVISIBLE}]`, 'gu')

const length = (text: string): number => [...text].length

/**
 * The form of a name that the server's index hashes: one middle dot, no spaces beside Han, capitals.
 *
 * Refusals `documents.name_empty`, `name_long` (> 100), `name_characters` (controls, or no letter at all).
 */
export function normaliseName(raw: string): string {
  if (length(raw) > 200) throw new Refusal('documents.name_long', 'name', { limit: 100 })
  const plain = raw.normalize('NFKC').toUpperCase().normalize('NFKC').replace(UNSEEN, '').replace(/[’‘`]/gu, "'")
  const spaced = plain.trim().split(/\s+/u).join(' ')
  const text = spaced.replace(HAN_GAP, '').replace(DOTS, '·').replace(HAN_STOP, '·')
  if (!text) throw new Refusal('documents.name_empty', 'name')
  if (length(text) > 100) throw new Refusal('documents.name_long', 'name', { limit: 100 })
  const letters = [...text].some((one) => /\p{L}/u.test(one) || (one.codePointAt(0) ?? 0) > 0x2e80)
  if (/[\p{Cc}\p{Cs}]/u.test(text) || !letters) throw new Refusal('documents.name_characters', 'name')
  return text
}

const PHONE_NOISE = /[\s()\-‐‑–—.·]+/gu
const EXTENSION = /(?<=[0-9]{7})\s*(?:-|转|X|EXT\.?|#)\s*([0-9]{1,6})$/u
const MOBILE = /^(?:\+86|0086|86|0)?(1[3-9][0-9]{9})$/
const LANDLINE = /^(?:(?:\+86|0086|0)([1-9][0-9]{1,2}[2-9][0-9]{6,7})|(?:\+86|0086)0([1-9][0-9]{1,2}[2-9][0-9]{6,7}))$/
const LOCAL = /^(?:[2-9][0-9]{6,7}|[48]00[0-9]{7})$/
const FOREIGN = /^(?:\+|00)(?!86)([1-9][0-9]{6,14})$/

/** The one form of a phone number; not unique, old people share a child's. Refusals `documents.phone_…`. */
export function normalisePhone(raw: string): string {
  const short = [...raw].slice(0, 64).join('').normalize('NFKC').replace(UNSEEN, '').toUpperCase()
  const text = short.replace(/^[ '"`]+|[ '"`]+$/gu, '')
  if (SCIENTIFIC.test(text)) throw new Refusal('documents.phone_scientific', 'phone')
  if (/[0-9]\s*[/,;、|]\s*\+?[0-9]/u.test(text)) throw new Refusal('documents.phone_several', 'phone')
  const cut = text.endsWith('.0') ? text.slice(0, -2) : text
  const found = phoneForm(cut.replace(PHONE_NOISE, '')) ?? withExtension(cut)
  if (found) return found
  const empty = cut.replace(/^[-/无]+|[-/无]+$/gu, '') === ''
  throw new Refusal(empty ? 'documents.phone_empty' : 'documents.phone_form', 'phone')
}

function phoneForm(digits: string): string | null {
  const mobile = MOBILE.exec(digits)
  if (mobile) return mobile[1] ?? null
  const landline = LANDLINE.exec(digits)
  if (landline) return `0${landline[1] ?? landline[2] ?? ''}`
  const foreign = FOREIGN.exec(digits)
  if (foreign) return `+${foreign[1] ?? ''}`
  return LOCAL.test(digits) ? digits : null
}

function withExtension(text: string): string | null {
  const found = EXTENSION.exec(text)
  if (!found) return null
  const line = phoneForm(text.slice(0, found.index).replace(PHONE_NOISE, ''))
  return line ? `${line}-${found[1] ?? ''}` : null
}
