import { computed, shallowRef, type ComputedRef, type ShallowRef } from 'vue'
import type { DeviceInfo, KnownWorker, Reference, Round, ScopeItem, Site, Worker } from '@/core/types'

export interface Choice {
  site?: number | null
  station?: number | null
  round?: number | null
}

export interface Session {
  /** True once what the phone knows has been read from its own storage. */
  ready: Readonly<ShallowRef<boolean>>
  /** Null: not paired. */
  device: Readonly<ShallowRef<DeviceInfo | null>>
  /** Null: nobody has signed on, or locked. */
  worker: Readonly<ShallowRef<Worker | null>>
  /** Who can unlock this phone with a PIN. */
  workers: Readonly<ShallowRef<KnownWorker[]>>
  locked: ComputedRef<boolean>
  /** True once the server has said that this device was reported lost: it only sends what it has. */
  lost: Readonly<ShallowRef<boolean>>
  scope: ComputedRef<ScopeItem[]>
  reference: Readonly<ShallowRef<Reference | null>>
  round: ComputedRef<Round | null>
  site: ComputedRef<Site | null>
  station: ComputedRef<number | null>
  /** Turn a one-time code (or the whole address of a pairing QR) into a device. Throws `Refusal`. */
  pair(code: string, name?: string): Promise<void>
  /** With network. Throws `Refusal` (`access.pin_wrong`, `access.pin_too_many`, `access.pin_unset`, `field.offline`…). */
  signOn(login: string, pin: string): Promise<void>
  /** Without network, for somebody this phone has never seen: a PIN for this shift. */
  signOnOffline(login: string, pin: string): Promise<void>
  /** Throws `Refusal`: `access.pin_wrong` (values.left), `field.worker_forgotten` after 10 wrong, `field.shift_over`. */
  unlock(login: string, pin: string): Promise<void>
  lock(): void
  /** Lock, and forget this worker on this phone; what is unsent stays and is sent. */
  signOff(): Promise<void>
  choose(choice: Choice): Promise<void>
}

const device = shallowRef<DeviceInfo | null>(null)
const worker = shallowRef<Worker | null>(null)
const workers = shallowRef<KnownWorker[]>([])
const lost = shallowRef(false)
const ready = shallowRef(true)
const reference = shallowRef<Reference | null>(null)

/** Who holds the phone, and where it works. */
export function useSession(): Session {
  return {
    ready,
    device,
    worker,
    workers,
    locked: computed(() => worker.value === null),
    lost,
    scope: computed(() => reference.value?.scope ?? []),
    reference,
    round: computed(() => null),
    site: computed(() => null),
    station: computed(() => null),
    pair: () => Promise.reject(new Error('soon')),
    signOn: () => Promise.reject(new Error('soon')),
    signOnOffline: () => Promise.reject(new Error('soon')),
    unlock: () => Promise.reject(new Error('soon')),
    lock: () => undefined,
    signOff: () => Promise.resolve(),
    choose: () => Promise.resolve(),
  }
}
