/** Where each box that this phone has had to do with is now, by this phone's own facts. */
import { withdrawnFacts } from '@/screens/pack/packing'
import type { OutboxItem, OutboxState } from '@/core/types'

export type BoxState = 'packed' | 'sealed' | 'handed_over' | 'received'

export interface BoxLine {
  code: string
  state: BoxState
  tubes: number | null
  at: number
  /** The fact that brought it here. */
  id: string
  sent: OutboxState
  given_by: string
  taken_by: string
}

const STATES: Readonly<Record<string, BoxState>> = {
  'testing.box_packed': 'packed',
  'testing.box_sealed': 'sealed',
  'testing.box_handed_over': 'handed_over',
  'testing.box_received': 'received',
}
export const BOX_KINDS = [...Object.keys(STATES), 'journal.fact_withdrawn']

/** One line for each box, its latest state; what was withdrawn or refused does not count. Newest first. */
export function boxLines(rows: readonly OutboxItem[]): BoxLine[] {
  const withdrawn = withdrawnFacts(rows)
  const found = new Map<string, BoxLine>()
  for (const row of [...rows].sort((a, b) => a.at - b.at || a.seq - b.seq)) {
    const state = STATES[row.kind]
    if (!state || !row.body || row.state === 'refused' || withdrawn.has(row.id)) continue
    const code = String(row.body['box'] ?? '')
    const count = row.body['tubes']
    const before = found.get(code)
    found.set(code, {
      code,
      state,
      tubes: typeof count === 'number' ? count : (before?.tubes ?? null),
      at: row.at,
      id: row.id,
      sent: row.state,
      given_by: String(row.body['given_by'] ?? ''),
      taken_by: String(row.body['taken_by'] ?? ''),
    })
  }
  return [...found.values()].sort((a, b) => b.at - a.at)
}
