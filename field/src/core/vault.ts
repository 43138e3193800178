/**
 * Who may open what this phone keeps. The device's secret lies wrapped twice, under the PIN and under a key that the
 * browser never gives away; every other key follows from it and lives in memory until the phone is locked.
 */
import * as crypto from './crypto'
import type { Bytes } from './crypto'
import type { SignedOn } from './contract'
import { uuid4, type Now } from './clock'
import type { EnvelopeRow, FieldDb, VaultRow } from './db'
import { Refusal, type KnownWorker, type Worker } from './types'

export const PIN_ITERATIONS = 310_000
export const MAX_WRONG = 10
export const IDLE_MS = 30 * 60_000
/** How long after the end of a shift a phone without network still opens. */
export const GRACE_MS = 72 * 3_600_000
export const SHIFT_MS = 12 * 3_600_000

/** Keys of a running session. None of them can be exported. */
export interface Keys {
  worker: Worker
  slice: CryptoKey
  lookup: CryptoKey
  display: CryptoKey
  envelope: EnvelopeRow
  seal: CryptoKey
}

export class Vault {
  keys: Keys | null = null
  readonly #db: FieldDb
  readonly #now: Now
  readonly #iterations: number
  #usedAt = 0

  constructor(db: FieldDb, now: Now, iterations: number = PIN_ITERATIONS) {
    this.#db = db
    this.#now = now
    this.#iterations = iterations
  }

  /** The keys, or `Refusal("field.locked")`. */
  need(): Keys {
    if (!this.keys) throw new Refusal('field.locked')
    return this.keys
  }

  /** Somebody is at work: puts off the lock. */
  touch(): void {
    this.#usedAt = this.#now()
  }

  /** True when the phone has lain unused too long, or when the shift is over and the server can be asked again. */
  isDue(online: boolean): boolean {
    if (!this.keys) return false
    const now = this.#now()
    const over = now > this.keys.worker.validUntil + (online ? 0 : GRACE_MS)
    return now - this.#usedAt > IDLE_MS || (over && now - this.#usedAt > 60_000)
  }

  lock(): void {
    this.keys = null
  }

  async workers(): Promise<KnownWorker[]> {
    const rows = await this.#db.vault.toArray()
    return rows.map(({ login, displayName, validUntil, wrong }) => ({
      login,
      displayName,
      validUntil,
      triesLeft: MAX_WRONG - wrong,
    }))
  }

  /** Keep what the server gave at sign-on under this PIN, and open. */
  async admit(signedOn: SignedOn, pin: string): Promise<Keys> {
    const { login, display_name: displayName, roles } = signedOn
    const { valid_seconds: seconds, sealing_key: sealing } = signedOn
    // By our own clock, which may be wrong: the shift is as long as the server says.
    const validUntil = this.#now() + seconds * 1_000
    await this.#db.write({ sealingKey: { number: sealing.number, public: crypto.fromBase64(sealing.public) } })
    const worker = { login, displayName, roles, validUntil, offline: false }
    return this.#admit(worker, crypto.fromBase64(signedOn.device_secret), pin)
  }

  /** Open without the server, for somebody it has not vouched for: no slice, and a display key of this shift. */
  async admitOffline(login: string, pin: string): Promise<Keys> {
    const known = await this.#db.vault.get(login)
    if (known && !known.offline) throw new Refusal('field.worker_known')
    const worker = { login, displayName: login, roles: [], validUntil: this.#now() + SHIFT_MS, offline: true }
    return this.#admit(worker, crypto.random(32), pin)
  }

  async #admit(worker: Worker, secret: Bytes, pin: string): Promise<Keys> {
    const salt = crypto.random(16)
    const kek = await crypto.aesKey(await crypto.pinKey(pin, salt, this.#iterations))
    const inner = await crypto.seal(kek, secret, `vault|${worker.login}`)
    const wrapped = await crypto.seal(await this.#resident(), inner, `vault|${worker.login}`)
    await this.#db.vault.put({ ...worker, salt, iterations: this.#iterations, wrapped, wrong: 0 })
    return this.#open(worker, secret)
  }

  /**
   * Open with a PIN, without the server. Refusals: `access.pin_wrong` (values.left), `field.worker_unknown`,
   * `field.worker_forgotten` at the tenth wrong PIN, `field.shift_over` when the server has to be asked again.
   */
  async unlock(login: string, pin: string, online: boolean): Promise<Keys> {
    // Counted before it is tried: switching off between the two must not give another try.
    const row = await this.#db.transaction('rw', this.#db.vault, async () => {
      const found = await this.#db.vault.get(login)
      if (found) await this.#db.vault.update(login, { wrong: found.wrong + 1 })
      return found
    })
    if (!row) throw new Refusal('field.worker_unknown')
    const secret = await this.#unwrap(row, pin)
    if (!secret) throw await this.#wrongPin(row)
    await this.#db.vault.update(login, { wrong: 0 })
    const over = this.#now() - row.validUntil
    if (over > (online && !row.offline ? 0 : GRACE_MS)) throw new Refusal('field.shift_over')
    const { displayName, roles, validUntil, offline } = row
    return this.#open({ login, displayName, roles, validUntil, offline }, secret)
  }

  async #unwrap(row: VaultRow, pin: string): Promise<Bytes | null> {
    const about = `vault|${row.login}`
    const inner = await crypto.open(await this.#resident(), row.wrapped, about)
    const kek = await crypto.aesKey(await crypto.pinKey(pin, row.salt, row.iterations))
    return crypto.open(kek, inner, about).catch(() => null)
  }

  async #wrongPin(row: VaultRow): Promise<Refusal> {
    const left = MAX_WRONG - row.wrong - 1
    if (left > 0) return new Refusal('access.pin_wrong', 'pin', { left })
    await this.#db.vault.delete(row.login)
    return new Refusal('field.worker_forgotten', 'pin')
  }

  async forget(login: string): Promise<void> {
    await this.#db.vault.delete(login)
  }

  async #open(worker: Worker, secret: Bytes): Promise<Keys> {
    const derived = (label: 'slice' | 'lookup' | 'display') => crypto.deviceKey(secret, label)
    const sealing = await this.#db.read('sealingKey')
    if (!sealing) throw new Refusal('field.not_paired')
    const { key, epk } = await crypto.makeEnvelope(sealing.public)
    this.keys = {
      worker,
      slice: await crypto.aesKey(await derived('slice')),
      lookup: await crypto.hmacKey(await derived('lookup')),
      display: await crypto.aesKey(await derived('display')),
      envelope: { id: uuid4(), key: sealing.number, epk },
      seal: key,
    }
    this.touch()
    return this.keys
  }

  /** This browser's own key, made at the first need. */
  async #resident(): Promise<CryptoKey> {
    const found = await this.#db.keys.get('device')
    if (found) return found.key
    const key = await crypto.makeResidentKey()
    return this.#db.transaction('rw', this.#db.keys, async () => {
      const first = await this.#db.keys.get('device')
      if (!first) await this.#db.keys.put({ name: 'device', key })
      return first?.key ?? key
    })
  }

  /** Keep the device's token so that only this browser can read it, PIN or not: what is written is always sent. */
  async keepToken(token: string): Promise<Bytes> {
    return crypto.seal(await this.#resident(), crypto.utf8(token), 'token')
  }

  /** The device's token, or null where there is none (any more: another tab may have wiped the phone meanwhile). */
  async token(): Promise<string | null> {
    const [kept, own] = await Promise.all([this.#db.read('token'), this.#db.keys.get('device')])
    if (!kept || !own) return null
    return crypto.open(own.key, kept, 'token').then(crypto.text, () => null)
  }
}
