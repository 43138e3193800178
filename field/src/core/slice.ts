/**
 * The people that this phone may know: downloaded in encrypted blocks, kept so, readable in memory after a PIN.
 *
 * Found by number through a truncated HMAC under a key of this device and secret, so that the blocks hold no number.
 */
import * as crypto from './crypto'
import type { Api } from './api'
import type { SlicePage } from './contract'
import type { FieldDb } from './db'
import { cleanNumber, normaliseDocument } from './rules/documents'
import { maskName } from './rules/masks'
import { normaliseName } from './rules/names'
import type { SliceRow, Uuid } from './types'
import type { Keys } from './vault'

type RawRow = [
  person: Uuid,
  tokens: string[],
  name: string,
  lastFour: string,
  birthYear: number,
  sex: number,
  group: string,
  sealed: number,
  household: string,
  area: string,
  building: string,
  unit: string,
  estate: string,
]

interface Entry {
  row: SliceRow
  /** What a search looks through. */
  text: string
}

const EMPTY: ReadonlyMap<string, Entry> = new Map()

export class Slice {
  readonly #db: FieldDb
  #entries: Entry[] = []
  #byId: ReadonlyMap<Uuid, Entry> = EMPTY
  #byToken: ReadonlyMap<string, Entry> = EMPTY
  #lookup: CryptoKey | null = null

  constructor(db: FieldDb) {
    this.#db = db
  }

  get size(): number {
    return this.#entries.length
  }

  /** Read what lies on the phone. A block that does not open is left out: the next download brings it again. */
  async unlock(keys: Keys): Promise<void> {
    this.#lookup = keys.lookup
    const state = await this.#db.read('slice')
    if (!state || keys.worker.offline) return
    const blocks = await this.#db.slice
      .where('[version+n]')
      .between([state.version, -1], [state.version, Infinity])
      .toArray()
    const opened = await Promise.all(
      blocks.map(async ({ version, n, data }) => {
        const plain = await crypto.open(keys.slice, data, `slice|${version}|${n}`).catch(() => null)
        return plain ? (JSON.parse(crypto.text(plain)) as RawRow[]) : []
      }),
    )
    // Locked, or unlocked by somebody else, while this was being read.
    if (this.#lookup === keys.lookup) this.fill(opened.flat())
  }

  /** Index these rows in memory. */
  fill(rows: readonly RawRow[]): void {
    const byId = new Map<Uuid, Entry>()
    const byToken = new Map<string, Entry>()
    this.#entries = rows.map((raw) => {
      const entry = entryOf(raw)
      byId.set(entry.row.person, entry)
      for (const token of raw[1]) byToken.set(token, entry)
      return entry
    })
    this.#byId = byId
    this.#byToken = byToken
  }

  lock(): void {
    this.#entries = []
    this.#byId = EMPTY
    this.#byToken = EMPTY
    this.#lookup = null
  }

  /** The person with this document number, as typed or read. Numbers that no rule knows are tried as they are. */
  async find(number: string): Promise<SliceRow | null> {
    if (!this.#lookup) return null
    const text = normalNumber(number)
    if (!text) return null
    return this.#byToken.get(await crypto.lookupToken(this.#lookup, text))?.row ?? null
  }

  byId(person: Uuid): SliceRow | null {
    return this.#byId.get(person)?.row ?? null
  }

  /**
   * People whose line has every word of `text`: masked name, last four, estate, building, unit. A whole name finds
   * whoever is masked like it. Those whose name or last four it is come first.
   */
  search(text: string, limit = 50): SliceRow[] {
    const words = text.normalize('NFKC').toUpperCase().split(/\s+/u).filter(Boolean)
    if (words.length === 0) return []
    const terms = words.map((word) => ({ word, masked: masked(word) }))
    const best: SliceRow[] = []
    const rest: SliceRow[] = []
    for (const { row, text: line } of this.#entries) {
      if (!terms.every(({ word, masked }) => row.name === masked || line.includes(word))) continue
      const exact = terms.some(({ word, masked }) => row.lastFour === word || row.name === masked || row.name === word)
      if (exact) best.push(row)
      else if (rest.length < limit) rest.push(row)
      if (best.length >= limit) break
    }
    return [...best, ...rest].slice(0, limit)
  }

  /**
   * Download the slice of `version` where it is not the one that lies here. Goes on where it was cut off; what lies here
   * stays readable until the new one is whole. Returns true when there is a new one.
   */
  async download(api: Api, wanted: { version: string; people: number } | null): Promise<boolean> {
    if (!wanted || (await this.#db.read('slice'))?.version === wanted.version) return false
    let after = (await this.#db.read('sliceNext'))?.after ?? ''
    for (;;) {
      const page = await api.get<SlicePage>('/slice', after ? { after } : {})
      await this.#keep(page, wanted.people)
      if (!page.more) return true
      if (!page.after) return false
      after = page.after
    }
  }

  async #keep(page: SlicePage, people: number): Promise<void> {
    const { version, more, after } = page
    const blocks = page.blocks.map(({ n, data }) => ({ version, n, data: crypto.fromBase64(data) }))
    const { slice, meta } = this.#db
    await this.#db.transaction('rw', slice, meta, async () => {
      await slice.bulkPut(blocks)
      if (more) return this.#db.write({ sliceNext: { version, after } })
      await slice.filter((one) => one.version !== version).delete()
      await this.#db.drop('sliceNext')
      return this.#db.write({ slice: { version, people } })
    })
  }
}

function entryOf(raw: RawRow): Entry {
  const [person, , name, lastFour, birthYear, sex, group, sealed, household, area, building, unit, estate] = raw
  const row: SliceRow = {
    person,
    name,
    lastFour,
    birthYear,
    sex,
    group,
    householdSealed: sealed === 1,
    household,
    area,
    building,
    unit,
    estate,
  }
  return { row, text: `${name} ${lastFour} ${estate} ${building} ${unit}`.toUpperCase() }
}

/** The number that the server hashed: its normal form where a rule knows it, else the bare characters. */
export function normalNumber(number: string, today = new Date().toISOString().slice(0, 10)): string {
  try {
    return normaliseDocument('', number, today).number
  } catch {
    return cleanNumber(number)
  }
}

function masked(word: string): string | null {
  if (!/\p{Script=Han}/u.test(word) || [...word].length < 2 || word.includes('*')) return null
  try {
    return maskName(normaliseName(word))
  } catch {
    return null
  }
}
