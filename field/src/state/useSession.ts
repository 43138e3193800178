import { computed, type ComputedRef, type ShallowRef } from 'vue'
import type { DeviceInfo, KnownWorker, Reference, Round, ScopeItem, Site, Worker } from '@/core/types'
import { lock, phone, reload, roundNow, shown } from './phone'

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

const reference = shown.reference
const site = computed(() => {
  const sites = reference.value?.sites ?? []
  const own = sites.filter((one) => one.kind !== 'laboratory')
  const chosen = sites.find((one) => one.id === shown.choice.value.site)
  // A phone of one sampling point has nothing to choose.
  return chosen ?? (own.length === 1 ? (own[0] ?? null) : null)
})
const station = computed(() => {
  const stations = site.value?.stations ?? []
  const chosen = stations.find((one) => one.number === shown.choice.value.station)
  return chosen?.number ?? (stations.length === 1 ? (stations[0]?.number ?? null) : null)
})
const session: Session = {
  ready: shown.ready,
  device: shown.device,
  worker: shown.worker,
  workers: shown.workers,
  locked: computed(() => shown.worker.value === null),
  lost: shown.lost,
  scope: computed(() => reference.value?.scope ?? []),
  reference,
  round: computed(() => reference.value?.rounds.find((one) => one.id === roundNow()) ?? null),
  site,
  station,
  async pair(code, name = '') {
    await phone().pair(code, name)
    await reload()
    phone().sync.kick()
  },
  async signOn(login, pin) {
    await phone().signOn(login, pin)
    await reload()
  },
  async signOnOffline(login, pin) {
    await phone().signOnOffline(login, pin)
    await reload()
  },
  async unlock(login, pin) {
    try {
      await phone().unlock(login, pin, shown.online.value && phone().sync.status.reached)
    } finally {
      await reload()
    }
  },
  lock,
  async signOff() {
    const login = shown.worker.value?.login
    lock()
    if (login) await phone().vault.forget(login)
    await reload()
  },
  async choose(choice) {
    shown.choice.value = await phone().choose(choice)
  },
}

/** Who holds the phone, and where it works. */
export function useSession(): Session {
  return session
}
