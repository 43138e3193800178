/**
 * Facts on their way: sealed to the server as they are written, kept until the server has said what it stored.
 *
 * A row is written with everything that follows from it on this phone in one transaction, under the next `device_seq`.
 */
import * as crypto from './crypto'
import type { Bytes } from './crypto'
import { uuid7, type Now } from './clock'
import type { Receipt } from './contract'
import type { Attention, FieldDb, Hint, Meta, OutboxRow } from './db'
import type { AttentionCase, Body, Note, OutboxItem, OutboxState, Uuid } from './types'
import type { Keys, Vault } from './vault'

export interface NewFact {
  kind: string
  body: Body
  level?: number | undefined
  at?: number | undefined
  /** A natural id; a fact that has it already is not written again. */
  id?: Uuid | undefined
  tube?: string | null | undefined
  /** The fact that this one takes back or moves. */
  about?: Uuid | undefined
  note?: Note | undefined
}

/** What is written in the same transaction as the facts. */
export interface Along {
  meta?: { [K in keyof Meta]?: Meta[K] }
  hints?: Hint[]
  dropHints?: Uuid[]
}

export interface Counts {
  pending: number
  refused: number
  waiting: number
  flagged: number
}

interface Shown {
  body: Body
  note: Note | null
}

const DAY_MS = 24 * 3_600_000
const DISPLAY_MS = 3 * DAY_MS
const ROW_MS = 14 * DAY_MS
const OPEN_CASES = new Set(['open', 'reopened'])
/** Cases that wait for something else to arrive rather than for somebody to look. */
const WAITING = new Set(['tube.person_unknown', 'tube.unregistered'])

/** The levels of the bodies that this version of the app writes; 1 where nothing is said. */
export const LEVELS: Readonly<Record<string, number>> = {}

export class Outbox {
  readonly #db: FieldDb
  readonly #vault: Vault
  readonly #now: Now
  readonly #shown = new Map<Uuid, Shown>()
  #turn: Promise<unknown> = Promise.resolve()

  constructor(db: FieldDb, vault: Vault, now: Now) {
    this.#db = db
    this.#vault = vault
    this.#now = now
  }

  /** Write facts, in this order, all or none. Resolves with their ids once they are on the disk. */
  write(facts: NewFact[], along: Along = {}): Promise<Uuid[]> {
    const mine = this.#turn.then(() => this.#write(facts, along))
    this.#turn = mine.catch(() => undefined)
    return mine
  }

  async #write(facts: NewFact[], along: Along): Promise<Uuid[]> {
    const keys = this.#vault.need()
    this.#vault.touch()
    const ready = facts.map((fact) => {
      const at = fact.at ?? this.#now()
      return { ...fact, at, id: fact.id ?? uuid7(this.#now()) }
    })
    for (;;) {
      const last = (await this.#db.read('seq')) ?? 0
      const rows = await Promise.all(ready.map((fact, place) => sealRow(keys, fact, last + 1 + place)))
      if (await this.#store(last, rows, keys, along)) break
    }
    for (const { id, body, note } of ready) this.#shown.set(id, { body, note: note ?? null })
    return ready.map(({ id }) => id)
  }

  /** False when another tab took the numbers meanwhile, or when a natural id is there already and was left out. */
  async #store(last: number, rows: OutboxRow[], keys: Keys, along: Along): Promise<boolean> {
    const { meta, outbox, envelopes, hints } = this.#db
    return this.#db.transaction('rw', [meta, outbox, envelopes, hints], async () => {
      if (((await this.#db.read('seq')) ?? 0) !== last) return false
      const there = await outbox
        .where('id')
        .anyOf(rows.map(({ id }) => id))
        .primaryKeys()
      if (there.length === 0) {
        await envelopes.put(keys.envelope)
        await outbox.bulkAdd(rows)
        await this.#db.write({ ...along.meta, seq: last + rows.length })
      } else if (along.meta) {
        await this.#db.write(along.meta)
      }
      if (along.hints) await hints.bulkPut(along.hints)
      if (along.dropHints) await hints.bulkDelete(along.dropHints)
      return true
    })
  }

  /** What a row says, or null while locked, for another shift's key, and once it is purged. */
  async show(row: Pick<OutboxRow, 'id' | 'display'>): Promise<Shown | null> {
    const keys = this.#vault.keys
    if (!keys) return null
    const known = this.#shown.get(row.id)
    if (known) return known
    if (!row.display) return null
    const plain = await crypto.open(keys.display, row.display, `display|${row.id}`).catch(() => null)
    if (!plain || this.#vault.keys !== keys) return null
    const shown = JSON.parse(crypto.text(plain)) as Shown
    this.#shown.set(row.id, shown)
    return shown
  }

  async item(row: OutboxRow): Promise<OutboxItem> {
    const shown = await this.show(row)
    const { id, seq, kind, at, state, code, field, flags, cases, tube } = row
    return {
      id,
      seq,
      kind,
      at,
      state,
      code,
      field,
      flags,
      cases,
      tube,
      body: shown?.body ?? null,
      note: shown?.note ?? null,
    }
  }

  /** Forget what was decrypted: the phone is locked. */
  forget(): void {
    this.#shown.clear()
  }

  async counts(): Promise<Counts> {
    const count = (index: 'state' | 'attention', value: string) => this.#db.outbox.where(index).equals(value).count()
    return {
      pending: await this.pending(),
      refused: await count('state', 'refused'),
      waiting: await count('attention', 'waiting'),
      flagged: await count('attention', 'flagged'),
    }
  }

  /** The next facts to send, oldest first; those of `except` are left for later. */
  async nextBatch(limit: number, except: ReadonlySet<number> = new Set()): Promise<OutboxRow[]> {
    const pending = this.#db.outbox.where('[state+seq]').between(['pending', -Infinity], ['pending', Infinity])
    // Without a filter the browser reads the rows at one go.
    if (except.size === 0) return pending.limit(limit).toArray()
    return pending
      .filter((row) => !except.has(row.seq))
      .limit(limit)
      .toArray()
  }

  pending(): Promise<number> {
    return this.#db.outbox.where('state').equals('pending').count()
  }

  /** Take down the receipts of the rows `sent`, and drop the sealed bytes. Returns how many rows it settled. */
  async settle(sent: readonly number[], receipts: readonly Receipt[]): Promise<number> {
    const verdicts = new Map(receipts.map((one) => [one.id, one]))
    return this.#db.transaction('rw', this.#db.outbox, async () => {
      const rows = await this.#db.outbox.bulkGet([...sent])
      const settled = rows.flatMap((row) => (row ? settledRow(row, verdicts.get(row.id)) : []))
      await this.#db.outbox.bulkPut(settled)
      return settled.length
    })
  }

  /** What the changes feed says about facts of ours, after they were accepted. */
  async noteChanges(entries: readonly FeedEntry[], cases: readonly FeedCase[]): Promise<void> {
    const flags = new Map(entries.filter((one) => one.flags).map((one) => [one.id, flagNames(one.flags)]))
    const touched = new Set([...flags.keys(), ...cases.flatMap((one) => one.facts)])
    if (touched.size === 0) return
    await this.#db.transaction('rw', this.#db.outbox, async () => {
      const rows = await this.#db.outbox
        .where('id')
        .anyOf([...touched])
        .toArray()
      await this.#db.outbox.bulkPut(rows.map((row) => noted(row, flags.get(row.id), cases)))
    })
  }

  /**
   * Display copies go after three days, or at once when the operation is over; rows that the server has and says nothing
   * about after two weeks; envelopes when nothing needs them. What is unsent stays whatever its age.
   */
  async purge(over = false): Promise<void> {
    const now = this.#now()
    const { outbox, envelopes } = this.#db
    await this.#db.transaction('rw', outbox, envelopes, async () => {
      const old = outbox.where('at').below(over ? Infinity : now - DISPLAY_MS)
      await old.and((row) => row.state !== 'pending' && row.display !== null).modify({ display: null })
      const done = outbox.where('at').below(now - ROW_MS)
      await done.and((row) => row.state === 'accepted' && row.attention === 'none').delete()
      const needed = new Set((await outbox.where('state').equals('pending').toArray()).map((row) => row.envelope))
      await envelopes.filter(({ id }) => !needed.has(id)).delete()
    })
    if (over) this.#shown.clear()
  }
}

/** `flags`: bits, each with a sentence in `contract/words` under its value. */
export interface FeedEntry {
  id: Uuid
  flags: number
}

/** The values of the bits that are set, as the words are filed: 5 is `1` and `4`. */
export function flagNames(bits: number): string[] {
  return Array.from({ length: 31 }, (_, place) => 2 ** place)
    .filter((bit) => (bits & bit) !== 0)
    .map(String)
}

export interface FeedCase extends AttentionCase {
  facts: Uuid[]
}

type Ready = NewFact & { id: Uuid; at: number }

/** Seal one fact under its number: to the server, and as a copy for this phone's own display. */
async function sealRow(keys: Keys, fact: Ready, seq: number): Promise<OutboxRow> {
  const { id, kind, at, body } = fact
  const level = fact.level ?? LEVELS[kind] ?? 1
  const by = keys.worker.login
  const whole = { id, kind, level, happened_at: new Date(at).toISOString(), device_seq: seq, by, body }
  const shown: Shown = { body, note: fact.note ?? null }
  const json = (value: unknown): Bytes => crypto.utf8(JSON.stringify(value))
  const [sealed, display] = await Promise.all([
    crypto.seal(keys.seal, json(whole), id),
    crypto.seal(keys.display, json(shown), `display|${id}`),
  ])
  const fresh = { state: 'pending' as const, code: null, field: null, flags: [], cases: [], attention: 'none' as const }
  return {
    ...fresh,
    seq,
    id,
    kind,
    at,
    by,
    envelope: keys.envelope.id,
    sealed,
    display,
    tube: fact.tube ?? null,
    about: fact.about ?? null,
  }
}

const STATES: Readonly<Record<string, OutboxState>> = { accepted: 'accepted', refused: 'refused' }

/** The row with its receipt. A verdict that this app does not know settles nothing. */
function settledRow(row: OutboxRow, receipt: Receipt | undefined): OutboxRow[] {
  const state = STATES[receipt?.verdict ?? '']
  if (!receipt || !state || row.state !== 'pending') return []
  return [{ ...row, state, code: receipt.code ?? null, field: receipt.field ?? null, sealed: null }]
}

function noted(row: OutboxRow, flags: string[] | undefined, cases: readonly FeedCase[]): OutboxRow {
  const known = new Map(row.cases.map((one) => [`${one.code}|${one.subject}`, one]))
  for (const { seq, code, subject, state, facts } of cases) {
    if (facts.includes(row.id)) known.set(`${code}|${subject}`, { seq, code, subject, state })
  }
  const now = { ...row, flags: flags ?? row.flags, cases: [...known.values()] }
  return { ...now, attention: attentionOf(now) }
}

/** What of a row somebody should know: something wrong before something missing. */
export function attentionOf(row: Pick<OutboxRow, 'flags' | 'cases'>): Attention {
  const open = row.cases.filter((one) => OPEN_CASES.has(one.state))
  if (row.flags.length > 0 || open.some((one) => !WAITING.has(one.code))) return 'flagged'
  return open.length > 0 ? 'waiting' : 'none'
}
