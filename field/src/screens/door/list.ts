/** The day's doors: filters, groups by building, and the facts that come of a visit. Plain functions. */
import type { DueLine } from '@/state'
import type { Body } from '@/core/types'

export const FILTERS = ['all', 'isolated', 'elderly', 'unable', 'again'] as const
export type Filter = (typeof FILTERS)[number]

export interface Building {
  name: string
  area: string
  lines: DueLine[]
  done: number
}

export const fits = (line: DueLine, filter: Filter): boolean => filter === 'all' || line.tags.includes(filter)

/** Masked name, last four, estate, building, unit: what somebody at a door knows. */
export function matches(line: DueLine, text: string): boolean {
  const row = line.row
  const hay = [row?.name, row?.lastFour, line.estate, line.building, line.unit].filter(Boolean).join(' ').toLowerCase()
  return text.trim().toLowerCase().split(/\s+/).every((word) => hay.includes(word))
}

/** In the order given, one group for each estate and building. */
export function byBuilding(lines: readonly DueLine[]): Building[] {
  const found: Building[] = []
  for (const line of lines) {
    const name = [line.estate, line.building].filter(Boolean).join(' ')
    const last = found.at(-1)
    const group = last && last.name === name && last.area === line.area ? last : { name, area: line.area, lines: [], done: 0 }
    if (group !== last) found.push(group)
    group.lines.push(line)
    if (line.doneHere) group.done += 1
  }
  return found
}

export type Outcome = 'absent' | 'refused' | 'moved'

/** The fact of a visit that ended without a swab. */
export function notSampled(line: DueLine, round: number, outcome: Outcome, reason: string, nextVisit: number | null): Body {
  return {
    round,
    person: line.person,
    outcome,
    reason,
    area: line.area || null,
    next_visit: nextVisit === null ? null : new Date(nextVisit).toISOString(),
  }
}

/** Times to come again, from now: in two hours, this evening, tomorrow morning, tomorrow evening; past ones are left out. */
export function nextVisits(now: number): { value: string; at: number; key: string }[] {
  const at = (days: number, hour: number): number => {
    const date = new Date(now)
    date.setDate(date.getDate() + days)
    date.setHours(hour, 0, 0, 0)
    return date.getTime()
  }
  return [
    { key: 'soon', at: now + 2 * 3_600_000 },
    { key: 'evening', at: at(0, 19) },
    { key: 'morning', at: at(1, 9) },
    { key: 'next_evening', at: at(1, 19) },
  ]
    .filter((one) => one.at > now + 15 * 60_000)
    .map((one) => ({ ...one, value: String(one.at) }))
}
