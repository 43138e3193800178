/** What to say about a document number while it is typed. */
import { Refusal } from '@/core/types'
import { cleanNumber, guessKind, normaliseDocument, type DocumentKind } from '@/core/rules/documents'

export interface Typed {
  number: string
  kind: DocumentKind
  /** typing: too short to judge; good; unsure: identifies, but look; wrong: it may be saved, and the desk will look. */
  verdict: 'empty' | 'typing' | 'good' | 'unsure' | 'wrong'
  /** Code of the reason, for unsure and wrong. */
  reason: string | null
}

/** `chosen`: a kind picked by hand; empty: guess. */
export function judgeNumber(raw: string, chosen: string, today: string): Typed {
  const number = cleanNumber(raw)
  const kind = (chosen || (/^[0-9]{0,17}X?$/.test(number) ? '01' : guessKind(number))) as DocumentKind
  if (!number) return { number, kind: (chosen || '00') as DocumentKind, verdict: 'empty', reason: null }
  const digits = /^[0-9]+X?$/.test(number)
  if (!chosen && digits && number.length < 18 && number.length !== 15 && !number.endsWith('X')) {
    // Eight and ten digits are papers of their own; somebody who types a citizen number passes by there.
    return { number, kind, verdict: 'typing', reason: null }
  }
  try {
    const { kind: found, doubt } = normaliseDocument(chosen || (kind === '01' ? '' : kind), number, today)
    return { number, kind: found, verdict: doubt ? 'unsure' : 'good', reason: doubt }
  } catch (error) {
    const reason = error instanceof Refusal ? error.code : 'documents.format'
    if (!digits && number.length < 8) return { number, kind, verdict: 'typing', reason: null }
    return { number, kind, verdict: 'wrong', reason }
  }
}

/** Four by four would hide where a card has its gaps: area, birthday, order and check. */
export function grouped(number: string): string {
  if (!/^[0-9]{7,17}[0-9X]?$/.test(number)) return number
  return [number.slice(0, 6), number.slice(6, 14), number.slice(14)].filter(Boolean).join(' ')
}
