/**
 * Between the phone and the server: up before down, one at a time in all tabs, again and again until it works.
 *
 * A fact is accepted when its receipt says so, and by nothing else. Whatever is cut off in the middle is done again: the
 * server gives the old receipt for a fact that it knows.
 */
import { RequestRefusal, type Api } from './api'
import { measureSkew, type Now } from './clock'
import type { DuePage, Receipt } from './contract'
import * as crypto from './crypto'
import type { FieldDb, OutboxRow } from './db'
import type { FeedSample, Hints } from './hints'
import type { FeedCase, FeedEntry, Outbox } from './outbox'
import { readForms, readReference } from './reference'
import type { Slice } from './slice'
import type { DueItem, Uuid } from './types'
import type { Vault } from './vault'

export type SyncState = 'idle' | 'sending' | 'receiving' | 'waiting'

/** Facts in the first request, and in those after one that went through: the server takes no more. */
const BATCH = 200
const LARGEST = 500
const BASE_MS = 1_000
const CAP_MS = 120_000
const POLL_MS = 30_000
const REFERENCE_MS = 5 * 60_000
const DUE_MS = 10 * 60_000
/** How many facts that were turned away as a request are tried again, one by one, in each cycle. */
const RETRIES = 3

/** What the screens may know of it. */
export interface SyncStatus {
  state: SyncState
  nextAt: number | null
  lastContact: number | null
  skew: number | null
  /** Why the last cycle failed, or why something is held; null after a good one. */
  problem: string | null
  reached: boolean
}

/** What changed on the phone, for whoever shows it. */
export type SyncNews = 'status' | 'reference' | 'hints' | 'slice' | 'due' | 'forms' | 'closed' | 'gone'

export interface DueList {
  items: DueItem[]
  as_of: string | null
}

interface Answer {
  received_at: string
  receipts: Receipt[]
  wipe?: boolean
}

interface Changes {
  cursor: string
  reset: boolean
  more: boolean
  entries: FeedEntry[]
  attention: FeedCase[]
  samples?: FeedSample[]
  /** Facts that a withdrawal among the entries takes back. */
  withdrawn?: Uuid[]
}

interface Parts {
  db: FieldDb
  api: Api
  vault: Vault
  outbox: Outbox
  hints: Hints
  slice: Slice
  now: Now
  app: string
  random?: () => number
}

/** Wait before attempt `n` (from 1): full jitter under a doubling roof, never less than the server asked for. */
export function backOff(attempt: number, random: () => number, asked: number | null = null): number {
  const roof = Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempt, 16))
  return Math.max(250, asked ?? 0, Math.round(random() * roof))
}

const mutexes = new Map<string, Promise<unknown>>()

/** Run `work` unless it runs already, in this tab or another. False: it does. */
export async function alone(name: string, work: () => Promise<void>): Promise<boolean> {
  const locks = typeof navigator === 'undefined' ? undefined : navigator.locks
  if (locks) {
    return locks.request(name, { ifAvailable: true }, async (lock) => {
      if (lock) await work()
      return lock !== null
    })
  }
  if (mutexes.has(name)) return false
  const running = work().finally(() => mutexes.delete(name))
  mutexes.set(name, running)
  await running
  return true
}

export class Sync {
  readonly #parts: Parts
  readonly #listeners = new Set<(news: SyncNews) => void>()
  readonly #held = new Set<number>()
  status: SyncStatus = { state: 'idle', nextAt: null, lastContact: null, skew: null, problem: null, reached: true }
  /** Today's doors, in memory only while somebody is signed on. */
  due: DueList = { items: [], as_of: null }
  #dueAt = 0
  #attempt = 0
  #timer: ReturnType<typeof setTimeout> | null = null
  #thorough = true
  #again = false
  #running: Promise<void> | null = null
  #stopped = true

  constructor(parts: Parts) {
    this.#parts = parts
  }

  onNews(listener: (news: SyncNews) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #tell(news: SyncNews): void {
    for (const listener of this.#listeners) listener(news)
  }

  #set(changes: Partial<SyncStatus>): void {
    this.status = { ...this.status, ...changes }
    this.#tell('status')
  }

  async start(): Promise<void> {
    const { db } = this.#parts
    this.#set({ skew: (await db.read('skew')) ?? null, lastContact: (await db.read('lastContact')) ?? null })
    this.#stopped = false
    this.kick()
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
  }

  /** The network is back, somebody looks at the screen or asks: try now, whatever failed before. */
  kick(): void {
    this.#attempt = 0
    this.#dueAt = 0
    this.#thorough = true
    this.#soon(0)
  }

  /** There is something to send. While the server does not answer this waits its turn. */
  nudge(): void {
    if (this.#attempt === 0) this.#soon(50)
  }

  #soon(delay: number): void {
    if (this.#stopped) return
    if (this.#running) {
      this.#again = true
      return
    }
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.run(), delay)
  }

  /** One cycle, now; resolves when it is over. A second call joins the one that runs. */
  run(): Promise<void> {
    this.#running ??= this.#once().finally(() => {
      this.#running = null
      const next = this.#again ? 0 : this.#pause()
      this.#again = false
      this.#soon(next)
    })
    return this.#running
  }

  #pause(): number {
    return this.status.nextAt === null
      ? Math.round(POLL_MS * (0.8 + 0.4 * this.#random()))
      : this.status.nextAt - this.#parts.now()
  }

  #random(): number {
    return (this.#parts.random ?? Math.random)()
  }

  async #once(): Promise<void> {
    try {
      const mine = await alone(`${this.#parts.db.name}-sync`, () => this.cycle())
      if (mine) this.#attempt = 0
      // Another tab is at it; look again soon, it may be closed in the middle.
      this.#set({ state: 'idle', nextAt: mine ? null : this.#parts.now() + 3_000 })
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    this.#attempt += 1
    const refusal = error instanceof RequestRefusal ? error : null
    const wait = backOff(this.#attempt, () => this.#random(), refusal?.waitMs ?? null)
    const problem = refusal?.code ?? 'field.trouble'
    const state = 'waiting' as const
    this.#set({ state, problem, reached: refusal !== null && !refusal.offline, nextAt: this.#parts.now() + wait })
  }

  /** Send everything, then fetch everything. Rejects with the first failure of a request. */
  async cycle(): Promise<void> {
    const { db, outbox } = this.#parts
    if (!(await db.read('device'))) return
    await this.#send()
    if (await db.read('closed')) return this.#leave()
    try {
      await this.#fetch()
    } catch (error) {
      if (!(error instanceof RequestRefusal && error.deviceClosed)) throw error
      await this.#close(error.values['lost'] === false ? 'revoked' : 'lost')
      return this.#leave()
    }
    await outbox.purge((await db.read('reference'))?.operation.ended)
  }

  // --- Up -------------------------------------------------------------------------------------------------------

  async #send(): Promise<void> {
    let size = BATCH
    let problem: string | null = null
    for (;;) {
      const rows = await this.#parts.outbox.nextBatch(size, this.#held)
      if (rows.length === 0) break
      this.#set({ state: 'sending' })
      try {
        await this.#post(rows)
        size = Math.min(LARGEST, size * 2)
      } catch (error) {
        if (!(error instanceof RequestRefusal && error.aboutContent)) throw error
        // One of them makes the whole request unfit. Halve until it is alone, and let its neighbours pass.
        if (rows.length === 1 && rows[0]) this.#held.add(rows[0].seq)
        else size = Math.ceil(rows.length / 2)
        problem = error.code
      }
    }
    await this.#retryHeld(problem)
  }

  /** Facts that no request could carry stay pending and are tried alone: a newer server may take them. */
  async #retryHeld(problem: string | null): Promise<void> {
    let held = problem
    for (const seq of [...this.#held].slice(0, RETRIES)) {
      const row = await this.#parts.db.outbox.get(seq)
      this.#held.delete(seq)
      if (row?.state !== 'pending') continue
      try {
        await this.#post([row])
      } catch (error) {
        if (!(error instanceof RequestRefusal && error.aboutContent)) throw error
        this.#held.add(seq)
        held = error.code
      }
    }
    this.#set({ problem: this.#held.size > 0 ? held : null })
  }

  async #post(rows: OutboxRow[]): Promise<void> {
    const { api, db, outbox, now, app } = this.#parts
    const facts = rows.filter((row) => row.sealed !== null)
    const envelopes = await db.envelopes.bulkGet([...new Set(facts.map((row) => row.envelope))])
    const [pending, highest] = await Promise.all([outbox.pending(), db.read('seq')])
    const sentAt = now()
    const answer = await api.post<Answer>('/facts', {
      sent_at: new Date(sentAt).toISOString(),
      highest_seq: highest ?? 0,
      unsent: Math.max(0, pending - rows.length),
      app: `field ${app}`,
      envelopes: envelopes.flatMap((one) => (one ? [{ id: one.id, key: one.key, epk: crypto.toBase64(one.epk) }] : [])),
      facts: facts.map((row) => ({
        id: row.id,
        envelope: row.envelope,
        sealed: crypto.toBase64(row.sealed ?? new Uint8Array()),
      })),
    })
    await this.#heard(answer.received_at, sentAt)
    const settled = await outbox.settle(
      rows.map(({ seq }) => seq),
      answer.receipts,
    )
    this.#tell('status')
    if (answer.wipe) await this.#close('lost')
    // No receipt, no progress: something that is not our server has answered.
    if (settled === 0) throw new RequestRefusal(502, 'field.server_trouble')
  }

  async #heard(serverTime: string, sentAt: number): Promise<void> {
    const at = this.#parts.now()
    const skew = measureSkew(serverTime, sentAt, at, this.status.skew)
    this.#set({ skew, lastContact: at, reached: true })
    await this.#parts.db.write(skew === null ? { lastContact: at } : { skew, lastContact: at })
  }

  // --- Down -----------------------------------------------------------------------------------------------------

  async #fetch(): Promise<void> {
    this.#set({ state: 'receiving' })
    await this.#reference()
    await this.#changes()
    await this.#optional(() => this.#slice())
    await this.#optional(() => this.#due())
    this.#thorough = false
  }

  /** What the phone can do without for now: the server's no to it does not stop the rest. */
  async #optional(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!(error instanceof RequestRefusal) || error.offline || error.deviceClosed || error.status === 401) throw error
    }
  }

  async #reference(): Promise<void> {
    const { api, db, now } = this.#parts
    const known = await db.read('reference')
    if (known && now() - ((await db.read('referenceAt')) ?? 0) < REFERENCE_MS && !this.#thorough) return
    const sentAt = now()
    const reference = readReference(await api.get('/reference'))
    await this.#heard(reference.now, sentAt)
    await db.write({ reference, referenceAt: now() })
    this.#tell('reference')
    const kinds = JSON.stringify(reference.kinds)
    if ((await db.read('formsFor')) === kinds) return
    await this.#optional(async () => {
      await db.write({ forms: readForms(await api.get('/forms')), formsFor: kinds })
      this.#tell('forms')
    })
  }

  async #changes(): Promise<void> {
    const { api, db, hints, outbox } = this.#parts
    const own = (await db.read('device'))?.id ?? null
    for (;;) {
      const cursor = (await db.read('cursor')) ?? ''
      const page = await api.get<Changes>('/changes', cursor ? { cursor } : {})
      if (page.reset) await hints.reset()
      await outbox.noteChanges(page.entries, page.attention)
      if (page.samples && page.samples.length > 0) await hints.hear(page.samples, own)
      if (page.withdrawn && page.withdrawn.length > 0) await hints.drop(page.withdrawn)
      // The cursor last: a page that was cut off is read again, and reading it twice changes nothing.
      await db.write({ cursor: page.cursor })
      if (page.reset || page.samples?.length || page.withdrawn?.length) this.#tell('hints')
      if (!page.more) return
      await this.#send()
    }
  }

  async #slice(): Promise<void> {
    const { api, db, slice } = this.#parts
    const wanted = (await db.read('reference'))?.slice ?? null
    if (await slice.download(api, wanted)) this.#tell('slice')
  }

  async #due(): Promise<void> {
    const { api, now } = this.#parts
    const keys = this.#parts.vault.keys
    if (!keys || now() - this.#dueAt < DUE_MS) return
    const items: DueItem[] = []
    let cursor = ''
    let as_of: string | null = null
    for (;;) {
      const page = await api.get<DuePage>('/due', cursor ? { cursor } : {})
      items.push(...page.items)
      as_of = page.as_of
      if (!page.more || !page.cursor || page.cursor === cursor) break
      cursor = page.cursor
    }
    if (this.#parts.vault.keys !== keys) return
    this.due = { items, as_of }
    this.#dueAt = now()
    const sealed = await crypto.seal(keys.display, crypto.utf8(JSON.stringify(this.due)), 'due')
    await this.#parts.db.write({ due: sealed })
    this.#tell('due')
  }

  /** Read the list that lies here, after unlocking. */
  async unlock(): Promise<void> {
    const keys = this.#parts.vault.keys
    const kept = await this.#parts.db.read('due')
    if (!keys || !kept) return
    const plain = await crypto.open(keys.display, kept, 'due').catch(() => null)
    if (plain && this.#parts.vault.keys === keys) this.due = JSON.parse(crypto.text(plain)) as DueList
    this.#tell('due')
  }

  lock(): void {
    this.due = { items: [], as_of: null }
    this.#dueAt = 0
    this.#tell('due')
  }

  // --- The end --------------------------------------------------------------------------------------------------

  /** The server wants this device no longer: forget people and keys, keep what is unsent and the way to send it. */
  async #close(why: 'lost' | 'revoked'): Promise<void> {
    const { db, vault, hints, slice, outbox } = this.#parts
    if (await db.read('closed')) return
    await db.write({ closed: why })
    await db.wipeCache()
    vault.lock()
    slice.lock()
    hints.clear()
    outbox.forget()
    this.lock()
    this.#tell('closed')
  }

  /** Gone for good once nothing is unsent. */
  async #leave(): Promise<void> {
    const { db, outbox } = this.#parts
    if ((await outbox.pending()) > 0) return
    await db.wipeAll()
    this.#held.clear()
    this.#tell('gone')
  }
}
