import { computed, shallowRef, type ComputedRef } from 'vue'
import type { DueItem, SliceRow } from '@/core/types'

/** `row` is null while locked or when the person is not in the slice. `doneHere`: this phone reported on it since. */
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

const lines = shallowRef<DueLine[]>([])

/** Whose doors to knock at today. */
export function useDue(): Due {
  return { items: computed(() => lines.value), asOf: computed(() => null), refresh: () => Promise.resolve() }
}
