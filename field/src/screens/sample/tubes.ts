/** The tubes of a shift, from what this phone wrote. */
import { foldTube, SAMPLE_KINDS, type TubeItem } from '@/core/tube'
import type { OutboxItem, TubePerson } from '@/state'

export const TUBE_KINDS = [
  ...SAMPLE_KINDS,
  'testing.tube_sealed',
  'testing.tube_voided',
  'testing.sample_moved',
  'journal.fact_withdrawn',
]

export type TubeStage = 'open' | 'left' | 'sealed' | 'voided'

export interface TubeLine {
  code: string
  stage: TubeStage
  people: TubePerson[]
  late: number
  /** As counted when it was sealed, where that differs. */
  counted: number | null
  openedAt: number
  closedAt: number | null
  pending: number
  refused: number
  flagged: number
  /** Everything written about it, newest first. */
  items: OutboxItem[]
}

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null)

/** Newest tube first. `open`: the one in the hand. Rows that can't be read here (another shift's) are left out. */
export function tubeLines(items: readonly OutboxItem[], open: string | null): TubeLine[] {
  const readable = items.filter((one) => one.body !== null)
  const about = (one: OutboxItem): string | null => text(one.body?.['target']) ?? text(one.body?.['sample'])
  const rows: (TubeItem & { item: OutboxItem })[] = readable.map((item) => ({ ...item, about: about(item), item }))
  const groups = new Map<string, typeof rows>()
  const home = new Map<string, string>()
  const put = (code: string | null, row: (typeof rows)[number]): void => {
    if (!code) return
    const group = groups.get(code)
    if (group) group.push(row)
    else groups.set(code, [row])
  }
  for (const row of rows) if (row.tube && SAMPLE_KINDS.includes(row.kind)) home.set(row.id, row.tube)
  for (const row of rows) {
    const from = row.tube ?? (row.about ? (home.get(row.about) ?? null) : null)
    put(from, row)
    const to = row.kind === 'testing.sample_moved' ? text(row.body?.['to_tube']) : null
    if (to && to !== from) put(to, row)
  }
  return [...groups]
    .map(([code, group]) => lineOf(code, group, open))
    .filter((line): line is TubeLine => line !== null)
    .sort((a, b) => Number(b.stage === 'open') - Number(a.stage === 'open') || b.openedAt - a.openedAt)
}

function lineOf(
  code: string,
  group: readonly (TubeItem & { item: OutboxItem })[],
  open: string | null,
): TubeLine | null {
  const folded = foldTube(code, group)
  const items = group.map(({ item }) => item).sort((a, b) => b.seq - a.seq)
  if (!folded.people.length && folded.sealedAt === null && folded.voidedAt === null) return null
  const sealed = items.find((one) => one.kind === 'testing.tube_sealed')
  const counted = typeof sealed?.body?.['people'] === 'number' ? sealed.body['people'] : null
  const stage: TubeStage =
    folded.voidedAt !== null ? 'voided' : folded.sealedAt !== null ? 'sealed' : code === open ? 'open' : 'left'
  const late = items.filter((one) => one.kind === 'testing.late_entry').length
  const closedAt = folded.voidedAt ?? folded.sealedAt
  return {
    code,
    stage,
    people: folded.people,
    late,
    counted: counted !== null && counted !== folded.people.length - late ? counted : null,
    openedAt: folded.firstAt ?? closedAt ?? Math.min(...items.map(({ at }) => at)),
    closedAt,
    pending: items.filter(({ state }) => state === 'pending').length,
    refused: items.filter(({ state }) => state === 'refused').length,
    flagged: items.filter(({ flags, cases }) => flags.length > 0 || cases.length > 0).length,
    items,
  }
}
