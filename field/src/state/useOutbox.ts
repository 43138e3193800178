import { liveQuery, type Collection } from 'dexie'
import { computed, getCurrentScope, onScopeDispose, shallowRef, watch, type ComputedRef, type Ref } from 'vue'
import type { FieldDb, OutboxRow } from '@/core/db'
import type { Counts } from '@/core/outbox'
import type { Body, Note, OutboxItem, OutboxState, Uuid } from '@/core/types'
import { phone, shown } from './phone'

export interface PutOptions {
  /** When it happened (ms); now if absent. */
  at?: number
  /** A natural id, where the fact has one. */
  id?: Uuid
  /** The tube it is about, for the lists. */
  tube?: string
  /** The level of the body's form, where it is not 1 (the generic form knows it). */
  level?: number
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
  /** True only if the server has said for every row that it has it, and refused none. */
  allSent: ComputedRef<boolean>
  /** A live list, newest first. Call in `setup`; the filter may be a getter. */
  rows(filter?: RowFilter | (() => RowFilter)): Ref<OutboxItem[]>
  /** Resolves with the fact's id once it is durably in IndexedDB. */
  put(kind: string, body: Body, options?: PutOptions): Promise<Uuid>
  /** Take a fact back, by another fact. */
  withdraw(id: Uuid, reason: string): Promise<Uuid>
}

const count = (name: keyof Counts) => computed(() => shown.counts.value[name])
const outbox: Outbox = {
  pending: count('pending'),
  refused: count('refused'),
  waiting: count('waiting'),
  flagged: count('flagged'),
  allSent: computed(() => shown.counted.value && shown.counts.value.pending === 0 && shown.counts.value.refused === 0),
  rows,
  async put(kind, body, options = {}) {
    const [id] = await phone().put([{ kind, body, ...options }])
    return id ?? ''
  },
  async withdraw(id, reason) {
    const row = await phone().db.outbox.where('id').equals(id).first()
    const fact = { kind: 'journal.fact_withdrawn', body: { target: id, reason }, tube: row?.tube, about: id }
    const [own] = await phone().put([fact], { dropHints: [id] })
    return own ?? ''
  },
}

/** What this phone has to tell, and what became of it. */
export function useOutbox(): Outbox {
  return outbox
}

function rows(filter: RowFilter | (() => RowFilter) = {}): Ref<OutboxItem[]> {
  const items = shallowRef<OutboxItem[]>([])
  let turn = 0
  const show = async (found: OutboxRow[]): Promise<void> => {
    const mine = ++turn
    const shownItems = await Promise.all(found.map((row) => phone().outbox.item(row)))
    if (mine === turn) items.value = shownItems
  }
  const stop = watch(
    [() => (typeof filter === 'function' ? filter() : filter), shown.worker, shown.ready] as const,
    ([wanted], _, onCleanup) => {
      const live = liveQuery(() => select(phone().db, wanted)).subscribe((found) => void show(found))
      onCleanup(() => live.unsubscribe())
    },
    { immediate: true },
  )
  if (getCurrentScope()) onScopeDispose(stop)
  return items
}

/** Rows that fit, newest first. */
async function select(db: FieldDb, filter: RowFilter): Promise<OutboxRow[]> {
  const { state, flagged, kinds, tube, limit = 100 } = filter
  const fits = (row: OutboxRow): boolean =>
    (!state || row.state === state) &&
    (!flagged || row.attention !== 'none') &&
    (!kinds || kinds.includes(row.kind)) &&
    (!tube || row.tube === tube)
  const few = narrow(db, filter)
  if (!few) return db.outbox.orderBy('seq').reverse().filter(fits).limit(limit).toArray()
  const found = await few.filter(fits).toArray()
  return found.sort((a, b) => b.seq - a.seq).slice(0, limit)
}

/** The index that leaves the fewest rows, where one helps. */
function narrow(db: FieldDb, { state, flagged, kinds, tube }: RowFilter): Collection<OutboxRow, number> | null {
  if (tube) return db.outbox.where('tube').equals(tube)
  if (flagged) return db.outbox.where('attention').anyOf('waiting', 'flagged')
  if (state && state !== 'accepted') return db.outbox.where('state').equals(state)
  return kinds ? db.outbox.where('kind').anyOf(kinds) : null
}
