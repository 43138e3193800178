import { computed, effectScope, shallowRef, watch, type ComputedRef } from 'vue'
import type { DueItem, OutboxItem, SliceRow } from '@/core/types'
import { phone, shown } from './phone'
import { useOutbox } from './useOutbox'

/** `row` is null while locked or when the person is not in the slice. `doneHere`: what this phone reported since. */
export interface DueLine extends DueItem {
  row: SliceRow | null
  doneHere: string | null
}

export interface Due {
  /** Ordered by area, estate, building, unit. */
  items: ComputedRef<DueLine[]>
  asOf: ComputedRef<string | null>
  refresh(): Promise<void>
}

/** Facts that say what came of a visit. */
const VISITS = ['testing.sample_taken', 'testing.not_sampled', 'testing.late_entry']
const ORDER = new Intl.Collator('zh-CN', { numeric: true })
const place = (one: DueItem): string => [one.area, one.estate, one.building, one.unit].join('\u0001')

/** What this phone reported about each person since the list was made: person to kind or outcome. */
const reported = shallowRef<ReadonlyMap<string, string>>(new Map())
let following: { value: readonly OutboxItem[] } | null = null

function follow(): void {
  if (following) return
  effectScope(true).run(() => {
    const rows = useOutbox().rows({ kinds: VISITS, limit: 1_000 })
    following = rows
    watch([rows, shown.due], ([now]) => (reported.value = outcomes(now, phoneTime(asOf.value))), { immediate: true })
  })
}

/** A moment of the server's clock on ours (ms); 0 where there is none. */
function phoneTime(moment: string | null): number {
  return moment ? Date.parse(moment) - (shown.sync.value.skew ?? 0) : 0
}

/** The latest outcome for each person of facts after `after` (ms). */
export function outcomes(rows: readonly OutboxItem[], after: number): Map<string, string> {
  const found = new Map<string, string>()
  for (const row of rows) {
    const person = row.body?.['person']
    if (typeof person !== 'string' || row.at < after || found.has(person)) continue
    const outcome = row.body?.['outcome']
    found.set(person, typeof outcome === 'string' ? outcome : 'sampled')
  }
  return found
}

const asOf = computed(() => (shown.due.value, phone().sync.due.as_of))
const due: Due = {
  items: computed(() => {
    void [shown.due.value, shown.slice.value]
    const { slice, sync } = phone()
    const lines = sync.due.items.map((item) => ({
      ...item,
      row: slice.byId(item.person),
      doneHere: reported.value.get(item.person) ?? null,
    }))
    return lines.sort((a, b) => ORDER.compare(place(a), place(b)))
  }),
  asOf,
  refresh() {
    phone().sync.kick()
    return phone().sync.run()
  },
}

/** Whose doors to knock at today. */
export function useDue(): Due {
  follow()
  return due
}
