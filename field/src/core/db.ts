/**
 * What lies on the phone. Nothing personal in clear: bodies are sealed to the server, display copies, the slice and the
 * due list under keys that need the PIN, the token under a key that this browser never gives away.
 */
import { Dexie, type Table } from 'dexie'
import type { Bytes } from './crypto'
import type { AttentionCase, DeviceInfo, FormKind, OutboxState, Reference, Uuid } from './types'

/** `waiting`: the server does not know yet what it refers to. `flagged`: it looks wrong to the server. */
export type Attention = 'none' | 'waiting' | 'flagged'

export interface OutboxRow {
  /** `device_seq`: strictly increasing, without gaps. */
  seq: number
  id: Uuid
  kind: string
  at: number
  by: string
  envelope: Uuid
  /** The fact, to the server's key; dropped with its receipt. */
  sealed: Bytes | null
  /** Body and note, under the display key; dropped after three days. */
  display: Bytes | null
  state: OutboxState
  code: string | null
  field: string | null
  flags: string[]
  cases: AttentionCase[]
  attention: Attention
  tube: string | null
  /** The fact that this one takes back or moves. */
  about: Uuid | null
}

export interface EnvelopeRow {
  id: Uuid
  /** Number of the server's key. */
  key: number
  epk: Bytes
}

/** A worker's way to the device's secret: PIN inside, this browser's key outside. */
export interface VaultRow {
  login: string
  displayName: string
  roles: string[]
  validUntil: number
  salt: Bytes
  iterations: number
  wrapped: Bytes
  wrong: number
  offline: boolean
}

export interface SliceBlock {
  version: string
  n: number
  data: Bytes
}

/** Somebody was sampled, as far as this phone knows. `own`: reported by this phone, and perhaps not sent yet. */
export interface Hint {
  id: Uuid
  person: Uuid
  tube: string
  round: number
  site: number | null
  device: Uuid | null
  at: number
  own: boolean
}

export interface Choice {
  site: number | null
  station: number | null
  round: number | null
}

/** The tube in the hand. Its people follow from the outbox. */
export interface OpenTube {
  code: string
  openedAt: number
  single: boolean
}

/** The whole slice that lies here. */
export interface SliceState {
  version: string
  people: number
}

/** Single values, each under its own name. */
export interface Meta {
  device: DeviceInfo
  token: Bytes
  sealingKey: { number: number; public: Bytes }
  seq: number
  choice: Choice
  tube: OpenTube | null
  reference: Reference
  referenceAt: number
  forms: FormKind[]
  formsFor: string
  due: Bytes
  cursor: string
  slice: SliceState
  /** The one that is being downloaded, and the cursor of its next page. */
  sliceNext: { version: string; after: string }
  skew: number
  lastContact: number
  /** The server does not want this device any more; it sends what it has and forgets the rest. */
  closed: 'lost' | 'revoked'
}

interface Named {
  name: string
  value: unknown
}

export const DB_NAME = 'dabai-field'

/**
 * Stores of each version. A version that has been released never changes: add the next one, with an upgrade that leaves
 * `outbox`, `envelopes` and `meta` as they are, because what they hold exists nowhere else.
 */
export const STORES: Readonly<Record<number, Readonly<Record<string, string>>>> = {
  1: {
    meta: 'name',
    keys: 'name',
    vault: 'login',
    envelopes: 'id',
    outbox: 'seq, &id, state, [state+seq], attention, kind, tube, at',
    slice: '[version+n]',
    hints: 'id, tube',
  },
}

export class FieldDb extends Dexie {
  declare meta: Table<Named, string>
  declare keys: Table<{ name: string; key: CryptoKey }, string>
  declare vault: Table<VaultRow, string>
  declare envelopes: Table<EnvelopeRow, Uuid>
  declare outbox: Table<OutboxRow, number>
  declare slice: Table<SliceBlock, [string, number]>
  declare hints: Table<Hint, Uuid>

  constructor(name: string = DB_NAME) {
    // Strict: a swab that is on the screen is on the disk, whatever the battery does next.
    super(name, { chromeTransactionDurability: 'strict' })
    for (const [version, stores] of Object.entries(STORES)) this.version(Number(version)).stores(stores)
    // Another tab brings a newer version: let it, and come back when asked.
    this.on('versionchange', () => this.close())
  }

  async read<K extends keyof Meta>(name: K): Promise<Meta[K] | undefined> {
    return (await this.meta.get(name))?.value as Meta[K] | undefined
  }

  async write(values: { [K in keyof Meta]?: Meta[K] | undefined }): Promise<void> {
    await this.meta.bulkPut(Object.entries(values).map(([name, value]) => ({ name, value })))
  }

  async drop(...names: (keyof Meta)[]): Promise<void> {
    await this.meta.bulkDelete(names)
  }

  /** Forget everything but what has to be sent and the way to send it. */
  async wipeCache(): Promise<void> {
    const kept = new Set<string>(['device', 'token', 'seq', 'closed'] satisfies (keyof Meta)[])
    await this.transaction('rw', this.tables, async () => {
      await this.meta.filter((one) => !kept.has(one.name)).delete()
      await Promise.all([this.vault.clear(), this.slice.clear(), this.hints.clear()])
      await this.outbox.toCollection().modify({ display: null })
    })
  }

  /** Forget everything. Only when nothing is unsent. */
  async wipeAll(): Promise<void> {
    await this.transaction('rw', this.tables, () => Promise.all(this.tables.map((table) => table.clear())))
  }
}
