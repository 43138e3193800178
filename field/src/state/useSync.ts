import { shallowRef, type ShallowRef } from 'vue'

export type SyncState = 'idle' | 'sending' | 'receiving' | 'waiting'

export interface Sync {
  online: Readonly<ShallowRef<boolean>>
  /** `waiting`: the last attempt failed, the next one is due at `nextAt`. */
  state: Readonly<ShallowRef<SyncState>>
  nextAt: Readonly<ShallowRef<number | null>>
  /** When the server last answered (ms). */
  lastContact: Readonly<ShallowRef<number | null>>
  /** Server's clock minus ours, in ms; null until measured. */
  skew: Readonly<ShallowRef<number | null>>
  /** The last request-level failure, e.g. `field.offline`, `access.device_not_allowed`; null after a good one. */
  problem: Readonly<ShallowRef<string | null>>
  kick(): void
}

const online = shallowRef(true)
const state = shallowRef<SyncState>('idle')
const none = shallowRef<number | null>(null)
const problem = shallowRef<string | null>(null)

/** Whether the phone is talking to the server, and since when not. */
export function useSync(): Sync {
  return { online, state, nextAt: none, lastContact: none, skew: none, problem, kick: () => undefined }
}
