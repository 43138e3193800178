/** The one phone that the screens look at, and what of it is reactive. */
import { liveQuery } from 'dexie'
import { shallowRef } from 'vue'
import { Phone } from '@/core/phone'
import type { Choice } from '@/core/db'
import { defaultRound } from '@/core/reference'
import type { Counts } from '@/core/outbox'
import type { SyncStatus } from '@/core/sync'
import type { DeviceInfo, FormKind, KnownWorker, Reference, Worker } from '@/core/types'

const NO_CHOICE: Choice = { site: null, station: null, round: null }

/** Reactive copies of what the core holds; only this module writes them. */
export const shown = {
  ready: shallowRef(false),
  device: shallowRef<DeviceInfo | null>(null),
  worker: shallowRef<Worker | null>(null),
  workers: shallowRef<KnownWorker[]>([]),
  lost: shallowRef(false),
  reference: shallowRef<Reference | null>(null),
  choice: shallowRef<Choice>(NO_CHOICE),
  forms: shallowRef<FormKind[]>([]),
  counts: shallowRef<Counts>({ pending: 0, refused: 0, waiting: 0, flagged: 0 }),
  /** True once the counts have been read: nothing is "all sent" before. */
  counted: shallowRef(false),
  sync: shallowRef<SyncStatus>({
    state: 'idle',
    nextAt: null,
    lastContact: null,
    skew: null,
    problem: null,
    reached: true,
  }),
  online: shallowRef(true),
  /** Changes when the slice, the hints or the due list do; read it to follow them. */
  slice: shallowRef(0),
  hints: shallowRef(0),
  due: shallowRef(0),
  /** Another tab has brought a newer version: this one can only load again. */
  outdated: shallowRef(false),
  /** The time (ms), every few seconds. */
  now: shallowRef(Date.now()),
}

let current: Phone | null = null
let stops: (() => void)[] = []

export function phone(): Phone {
  current ??= new Phone({ app: __APP_VERSION__ })
  return current
}

/** Read what lies here and start talking to the server. Called once, before the first screen; by tests with their own. */
export async function boot(mine: Phone = phone()): Promise<void> {
  shutDown()
  current = mine
  await mine.boot()
  mine.db.on('versionchange', () => (shown.outdated.value = true))
  stops.push(mine.sync.onNews((news) => quietly(onNews(news))))
  const counts = liveQuery(() => mine.outbox.counts()).subscribe((value) => {
    shown.counts.value = value
    shown.counted.value = true
  })
  stops.push(() => counts.unsubscribe())
  await reload()
  followOtherTabs(mine)
  watchTheDevice(mine)
  shown.ready.value = true
  await mine.sync.start()
}

/** Stop following the phone: another one takes its place. */
export function shutDown(): void {
  for (const stop of stops) stop()
  stops = []
  current?.sync.stop()
  shown.worker.value = null
  shown.counted.value = false
}

/** Take over what the core holds. */
export async function reload(): Promise<void> {
  const { db, vault, sync } = phone()
  const [device, closed, reference, choice, forms] = await Promise.all([
    db.read('device'),
    db.read('closed'),
    db.read('reference'),
    db.read('choice'),
    db.read('forms'),
  ])
  shown.device.value = device ?? null
  shown.lost.value = closed !== undefined
  shown.reference.value = reference ?? null
  shown.choice.value = choice ?? NO_CHOICE
  shown.forms.value = forms ?? []
  shown.workers.value = await vault.workers()
  shown.worker.value = vault.keys?.worker ?? null
  shown.sync.value = sync.status
  shown.slice.value += 1
  shown.hints.value += 1
  shown.due.value += 1
}

async function onNews(news: string): Promise<void> {
  const { db, sync } = phone()
  shown.sync.value = sync.status
  if (news === 'reference') shown.reference.value = (await db.read('reference')) ?? null
  if (news === 'forms') shown.forms.value = (await db.read('forms')) ?? []
  if (news === 'hints') shown.hints.value += 1
  if (news === 'slice') {
    await phone().reading
    shown.slice.value += 1
  }
  if (news === 'due') shown.due.value += 1
  if (news === 'closed' || news === 'gone') {
    if (typeof localStorage !== 'undefined') localStorage.removeItem('dabai.field.settings')
    await reload()
  }
}

/** Let `work` go on by itself. A storage that was closed (another tab has a newer version) has nothing to show. */
export function quietly(work: Promise<unknown>): void {
  work.catch((error: unknown) => {
    if (!(error instanceof Error && error.name === 'DatabaseClosedError')) throw error
  })
}

export function lock(): void {
  phone().lock()
  shown.worker.value = null
  shown.slice.value += 1
  shown.due.value += 1
}

/** The round that the phone works for now. */
export function roundNow(): number | null {
  const rounds = shown.reference.value?.rounds ?? []
  const chosen = rounds.find((one) => one.id === shown.choice.value.round)
  return (chosen ?? defaultRound(rounds))?.id ?? null
}

/** Another tab may pair this phone, or learn that it is lost: that holds here too. */
function followOtherTabs(mine: Phone): void {
  const told = (id: string | undefined, closed: boolean): string => `${id ?? ''}${closed ? ' closed' : ''}`
  const live = liveQuery(async () => {
    const [device, closed] = await Promise.all([mine.db.read('device'), mine.db.read('closed')])
    return told(device?.id, closed !== undefined)
  }).subscribe((now) => {
    if (now === told(shown.device.value?.id, shown.lost.value)) return
    // What this tab has done itself is shown already, or about to be.
    if (now !== shown.device.value?.id) mine.forget()
    quietly(reload())
  })
  stops.push(() => live.unsubscribe())
}

/** The browser's own news: network, attention, other tabs, the time. Nothing of it exists in a test without a browser. */
function watchTheDevice(mine: Phone): void {
  const tick = setInterval(() => {
    shown.now.value = mine.now()
    if (mine.vault.isDue(shown.online.value && mine.sync.status.reached)) lock()
  }, 5_000)
  ;(tick as { unref?: () => void }).unref?.()
  stops.push(() => clearInterval(tick))
  if (typeof window === 'undefined') return
  shown.online.value = navigator.onLine
  listen(window, 'online', () => {
    shown.online.value = true
    mine.sync.kick()
  })
  listen(window, 'offline', () => (shown.online.value = false))
  listen(window, 'pageshow', () => mine.sync.kick())
  listen(document, 'visibilitychange', () => {
    if (document.visibilityState !== 'visible') return
    if (mine.vault.isDue(shown.online.value)) lock()
    mine.sync.kick()
  })
  for (const name of ['pointerdown', 'keydown']) listen(window, name, () => mine.vault.touch())
  // Another tab has written: what it learnt counts here too.
  const others = liveQuery(() => mine.db.hints.count()).subscribe(() => {
    quietly(mine.hints.load().then(() => (shown.hints.value += 1)))
  })
  stops.push(() => others.unsubscribe())
  void navigator.storage?.persist?.()
}

function listen(target: EventTarget, name: string, listener: () => void): void {
  target.addEventListener(name, listener, { passive: true })
  stops.push(() => target.removeEventListener(name, listener))
}
