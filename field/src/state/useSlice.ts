import { computed, type ComputedRef } from 'vue'
import type { SliceRow, Uuid } from '@/core/types'

export interface Slice {
  /** People that this phone can find; 0 while locked. */
  size: ComputedRef<number>
  /** By a document number as typed or read (15 or 18 digits, or another paper's), or null. ≤ 5 ms. */
  find(number: string): Promise<SliceRow | null>
  /** By masked name, last four, building or estate; several words narrow it. At most `limit` (50). */
  search(text: string, limit?: number): SliceRow[]
  byId(person: Uuid): SliceRow | null
  /** When this person was sampled in the chosen round, as far as the phone knows. */
  sampledAt(person: Uuid): number | null
}

/** The people that this phone may know. */
export function useSlice(): Slice {
  return {
    size: computed(() => 0),
    find: () => Promise.resolve(null),
    search: () => [],
    byId: () => null,
    sampledAt: () => null,
  }
}
