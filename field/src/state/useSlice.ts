import { computed, type ComputedRef } from 'vue'
import type { SliceRow, Uuid } from '@/core/types'
import { phone, roundNow, shown } from './phone'

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

const slice: Slice = {
  size: computed(() => (shown.slice.value, phone().slice.size)),
  find: (number) => phone().slice.find(number),
  search: (text, limit) => phone().slice.search(text, limit),
  byId: (person) => phone().slice.byId(person),
  sampledAt: (person) => (shown.hints.value, phone().hints.sampled(person, roundNow())?.at ?? null),
}

/** The people that this phone may know. */
export function useSlice(): Slice {
  return slice
}
