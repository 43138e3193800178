import { computed, type ComputedRef } from 'vue'
import type { SyncState, SyncStatus } from '@/core/sync'
import { phone, shown } from './phone'

export type { SyncState }

export interface Sync {
  online: ComputedRef<boolean>
  /** `waiting`: the last attempt failed, the next one is due at `nextAt`. */
  state: ComputedRef<SyncState>
  nextAt: ComputedRef<number | null>
  /** When the server last answered (ms). */
  lastContact: ComputedRef<number | null>
  /** Server's clock minus ours, in ms; null until measured. */
  skew: ComputedRef<number | null>
  /** The last request-level failure, e.g. `field.offline`, `access.device_not_allowed`; null after a good one. */
  problem: ComputedRef<string | null>
  kick(): void
}

const part = <K extends keyof SyncStatus>(name: K) => computed(() => shown.sync.value[name])
const sync: Sync = {
  online: computed(() => shown.online.value && shown.sync.value.reached),
  state: part('state'),
  nextAt: part('nextAt'),
  lastContact: part('lastContact'),
  skew: part('skew'),
  problem: part('problem'),
  kick: () => phone().sync.kick(),
}

/** Whether the phone is talking to the server, and since when not. */
export function useSync(): Sync {
  return sync
}
