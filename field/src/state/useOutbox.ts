import { computed, shallowRef, type ComputedRef, type Ref } from 'vue'
import type { Body, Note, OutboxItem, OutboxState, Uuid } from '@/core/types'

export interface PutOptions {
  /** When it happened (ms); now if absent. */
  at?: number
  /** A natural id, where the fact has one. */
  id?: Uuid
  /** The tube it is about, for the lists. */
  tube?: string
  note?: Note
}

export interface RowFilter {
  state?: OutboxState
  /** Accepted, and the server has a flag or an open case about it. */
  flagged?: boolean
  kinds?: string[]
  tube?: string
  /** At most so many, newest first (100). */
  limit?: number
}

export interface Outbox {
  pending: ComputedRef<number>
  refused: ComputedRef<number>
  /** Accepted, but what they refer to is not known to the server yet. */
  waiting: ComputedRef<number>
  flagged: ComputedRef<number>
  /** True only if every row has its receipt. */
  allSent: ComputedRef<boolean>
  /** A live list, newest first. Call in `setup`; the filter may be a getter. */
  rows(filter?: RowFilter | (() => RowFilter)): Ref<OutboxItem[]>
  /** Resolves with the fact's id once it is durably in IndexedDB. */
  put(kind: string, body: Body, options?: PutOptions): Promise<Uuid>
  /** Take a fact back, by another fact. */
  withdraw(id: Uuid, reason: string): Promise<Uuid>
}

/** What this phone has to tell, and what became of it. */
export function useOutbox(): Outbox {
  const none = computed(() => 0)
  return {
    pending: none,
    refused: none,
    waiting: none,
    flagged: none,
    allSent: computed(() => true),
    rows: () => shallowRef([]),
    put: () => Promise.reject(new Error('soon')),
    withdraw: () => Promise.reject(new Error('soon')),
  }
}
