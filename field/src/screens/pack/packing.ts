/**
 * The packer's desk as plain rules: what is in which bag and box, what is wrong with the code in the hand, and what the system knows that
 * the rack does not show. No Vue here.
 */
import { canStore, cleanCode, ownKind, whatIs } from '@/core/rules/codes'
import type { OutboxItem } from '@/core/types'

/** Tubes in a bag, where the round does not say. */
export const BAG_SIZE = 20

export interface Bag {
  code: string
  tubes: string[]
}

export interface Packing {
  /** Tubes on the rack as counted by hand; null: not counted yet. */
  rack: number | null
  /** The bag in the hand. */
  bag: Bag
  /** Bags reported and not in a box yet. */
  ready: { code: string; tubes: number }[]
  box: { code: string; bags: string[]; tubes: string[] }
  /** Packed and reported, not sealed yet. */
  packed: { code: string; tubes: number } | null
}

export const emptyPacking = (): Packing => ({
  rack: null,
  bag: { code: '', tubes: [] },
  ready: [],
  box: { code: '', bags: [], tubes: [] },
  packed: null,
})

export type BagScan =
  | { what: 'tube'; code: string; full: boolean }
  | { what: 'bag'; code: string }
  | { what: 'again' | 'bagged' | 'full' | 'box' | 'unreadable'; code: string; where?: string }

/** Whether a text may be what is printed on a tube; a web address, a resident's or a hand-over code is not. */
export function couldBeTube(text: string): boolean {
  const code = cleanCode(text)
  const what = whatIs(text)
  return canStore(code) && !code.includes('//') && (what === 'tube' || what === 'unknown')
}

/** What a code scanned over the open bag means. `where` tells in which bag a tube lies already. */
export function scanForBag(text: string, bag: Bag, bagged: ReadonlyMap<string, string>, size = BAG_SIZE): BagScan {
  const code = cleanCode(text)
  const kind = ownKind(code)
  if (kind === 'box') return { what: 'box', code }
  if (kind === 'bag') return { what: 'bag', code }
  if (!couldBeTube(text)) return { what: 'unreadable', code }
  if (bag.tubes.includes(code)) return { what: 'again', code }
  const where = bagged.get(code)
  if (where !== undefined) return { what: 'bagged', code, where }
  if (bag.tubes.length >= size) return { what: 'full', code }
  return { what: 'tube', code, full: bag.tubes.length + 1 === size }
}

/** Tubes that lie in a bag by this phone's own facts, and in which. Withdrawn and refused ones do not count. */
export function baggedTubes(rows: readonly OutboxItem[]): Map<string, string> {
  const withdrawn = withdrawnFacts(rows)
  const found = new Map<string, string>()
  for (const row of rows) {
    if (row.kind !== 'testing.tubes_bagged' || row.state === 'refused' || withdrawn.has(row.id) || !row.body) continue
    for (const tube of (row.body['tubes'] as string[] | undefined) ?? []) found.set(tube, String(row.body['bag'] ?? ''))
  }
  return found
}

export function withdrawnFacts(rows: readonly OutboxItem[]): Set<string> {
  return new Set(
    rows.flatMap((row) => (row.kind === 'journal.fact_withdrawn' && row.state !== 'refused' && row.body ? [String(row.body['target'])] : [])),
  )
}

export interface Known {
  /** Sealed tubes by this phone's facts. */
  sealed: Set<string>
  /** Tubes that other phones of the place are known to have used; sealed or not is not known. */
  heard: Set<string>
}

/** The system's side of the count: known tubes of this place that lie in no bag and were not voided. */
export function waitingTubes(known: Known, bagged: ReadonlyMap<string, string>, voided: ReadonlySet<string>): string[] {
  return [...new Set([...known.sealed, ...known.heard])].filter((tube) => !bagged.has(tube) && !voided.has(tube)).sort()
}

export interface Difference {
  /** Rack minus system. */
  by: number
  /** Known to the system and not scanned into a bag yet. */
  missing: string[]
  /** In the bag in the hand, but unknown to the system. */
  strange: string[]
}

export function difference(rack: number, waiting: readonly string[], scanned: readonly string[]): Difference {
  const held = new Set(scanned)
  const system = new Set(waiting)
  return {
    by: rack - waiting.length,
    missing: waiting.filter((tube) => !held.has(tube)),
    strange: scanned.filter((tube) => !system.has(tube)),
  }
}
