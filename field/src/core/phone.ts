/** The whole phone, without a screen: what it keeps, whom it knows, what it tells the server. */
import { Api, RequestRefusal, type Fetch } from './api'
import type { Now } from './clock'
import * as crypto from './crypto'
import type { Paired, SignedOn } from './contract'
import { FieldDb, type Choice } from './db'
import { Hints } from './hints'
import { Outbox, type Along, type NewFact } from './outbox'
import { Slice } from './slice'
import { Sync } from './sync'
import { Refusal, type DeviceInfo, type Uuid } from './types'
import { PIN_ITERATIONS, Vault, type Keys } from './vault'

export interface PhoneOptions {
  db?: FieldDb
  fetch?: Fetch
  now?: Now
  app?: string
  /** Fewer rounds of PBKDF2, for tests only. */
  iterations?: number
  random?: () => number
}

/** The code in what a camera or a thumb gave: a whole address of a pairing slip, or the code alone. */
export function pairingCode(text: string): string {
  const found = /[?&]code=([^&#\s]+)/.exec(text)
  return decodeURIComponent(found?.[1] ?? text)
    .trim()
    .toUpperCase()
}

export class Phone {
  readonly db: FieldDb
  readonly vault: Vault
  readonly outbox: Outbox
  readonly hints: Hints
  readonly slice: Slice
  readonly api: Api
  readonly sync: Sync
  readonly now: Now
  readonly app: string
  #token: string | null = null
  /** Until a slice that has just come can be searched. */
  reading: Promise<void> = Promise.resolve()

  constructor(options: PhoneOptions = {}) {
    this.db = options.db ?? new FieldDb()
    this.now = options.now ?? Date.now
    this.app = options.app ?? '0'
    this.vault = new Vault(this.db, this.now, options.iterations ?? PIN_ITERATIONS)
    this.outbox = new Outbox(this.db, this.vault, this.now)
    this.hints = new Hints(this.db)
    this.slice = new Slice(this.db)
    this.api = new Api(options.fetch ?? ((input, init) => fetch(input, init)), () => this.#readToken())
    const { db, api, vault, outbox, hints, slice, now, app } = this
    const random = options.random ?? Math.random
    this.sync = new Sync({ db, api, vault, outbox, hints, slice, now, app, random })
    this.sync.onNews((news) => {
      if (news === 'gone') this.#token = null
      if (news === 'slice' && this.vault.keys) this.reading = this.slice.unlock(this.vault.keys)
    })
  }

  async #readToken(): Promise<string | null> {
    this.#token ??= await this.vault.token()
    return this.#token
  }

  /** Read what lies here. */
  async boot(): Promise<void> {
    await this.db.open()
    await this.hints.load()
    await this.outbox.purge()
  }

  device(): Promise<DeviceInfo | undefined> {
    return this.db.read('device')
  }

  /** Become a device of an operation. `field.unsent` while facts of an earlier pairing wait. */
  async pair(code: string, name: string): Promise<DeviceInfo> {
    if ((await this.outbox.pending()) > 0) throw new Refusal('field.unsent')
    this.#token = null
    const answer = await this.api.post<Paired>('/devices/pair', {
      code: pairingCode(code),
      name,
      app: `field ${this.app}`,
    })
    if (!answer.sealing_key) throw new Refusal('field.server_old')
    await this.db.wipeAll()
    this.hints.clear()
    const { district, operation } = answer
    const device = { id: answer.device, name: answer.name || name, district, operation, pairedAt: this.now() }
    const sealingKey = { number: answer.sealing_key.number, public: crypto.fromBase64(answer.sealing_key.public) }
    // The token last: a pairing that was cut off has no device, and is asked for again.
    const token = await this.vault.keepToken(answer.token)
    await this.db.write({ device, sealingKey, token, seq: 0 })
    this.#token = null
    return device
  }

  async signOn(login: string, pin: string): Promise<Keys> {
    await this.#needDevice()
    try {
      const answer = await this.api.post<SignedOn>('/devices/sign-on', { login: login.trim(), pin })
      return await this.#opened(await this.vault.admit(answer, pin))
    } catch (error) {
      if (error instanceof RequestRefusal && error.deviceClosed) void this.sync.run()
      throw error
    }
  }

  async signOnOffline(login: string, pin: string): Promise<Keys> {
    await this.#needDevice()
    return this.#opened(await this.vault.admitOffline(login.trim(), pin))
  }

  async unlock(login: string, pin: string, online: boolean): Promise<Keys> {
    await this.#needDevice()
    return this.#opened(await this.vault.unlock(login, pin, online))
  }

  async #needDevice(): Promise<void> {
    if (!(await this.device())) throw new Refusal('field.not_paired')
    if (await this.db.read('closed')) throw new Refusal('access.device_lost')
  }

  async #opened(keys: Keys): Promise<Keys> {
    await Promise.all([this.slice.unlock(keys), this.sync.unlock()])
    this.sync.kick()
    return keys
  }

  lock(): void {
    this.vault.lock()
    this.slice.lock()
    this.outbox.forget()
    this.sync.lock()
  }

  /** Another tab has paired this phone again, or wiped it: nothing that is in memory holds any more. */
  forget(): void {
    this.lock()
    this.hints.clear()
    this.#token = null
  }

  /** Write facts and what follows from them here; they are on the disk when this resolves, and on their way. */
  async put(facts: NewFact[], along: Along = {}): Promise<Uuid[]> {
    const ids = await this.outbox.write(facts, along)
    if (along.dropHints) this.hints.unlearn(along.dropHints)
    if (along.hints) this.hints.learn(along.hints)
    this.sync.nudge()
    return ids
  }

  async choose(choice: Partial<Choice>): Promise<Choice> {
    const before = (await this.db.read('choice')) ?? { site: null, station: null, round: null }
    const now = { ...before, ...choice }
    await this.db.write({ choice: now })
    return now
  }
}
