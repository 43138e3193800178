/** The server's door, as this phone knocks at it: JSON both ways, gzip up, every failure a `Refusal`. */
import type { Refused } from './contract'
import { gzip } from './crypto'
import { Refusal } from './types'

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>

/** A refusal that the server, or the way to it, gave to a whole request. `status` 0: it was never reached. */
export class RequestRefusal extends Refusal {
  readonly status: number

  constructor(status: number, code: string, field: string | null = null, values: Record<string, unknown> = {}) {
    super(code, field, values)
    this.status = status
  }

  /** Nothing answered: no network, or too slow. */
  get offline(): boolean {
    return this.status === 0
  }

  /** It is about what was sent, so that less of it may pass. */
  get aboutContent(): boolean {
    return this.status === 400 || this.status === 413 || this.status === 422
  }

  /** The server wants this device no longer; it may hand in what it has. */
  get deviceClosed(): boolean {
    return this.status === 403 && (this.code === 'access.device_not_allowed' || this.code === 'access.device_lost')
  }

  /** How long the server asks to wait (ms), if it does. */
  get waitMs(): number | null {
    const seconds = Number(this.values['seconds'] ?? this.values['retry_after'])
    return Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : null
  }
}

const TIMEOUT_MS = 30_000

export class Api {
  readonly #fetch: Fetch
  readonly #token: () => Promise<string | null>
  readonly #base: string

  constructor(fetch: Fetch, token: () => Promise<string | null>, base = '/api/v1') {
    this.#fetch = fetch
    this.#token = token
    this.#base = base
  }

  get<T>(path: string, query: Record<string, string> = {}): Promise<T> {
    const search = new URLSearchParams(query).toString()
    return this.#ask<T>('GET', path + (search && `?${search}`), null)
  }

  post<T>(path: string, body: unknown): Promise<T> {
    return this.#ask<T>('POST', path, body)
  }

  async #ask<T>(method: string, path: string, body: unknown): Promise<T> {
    const headers: Record<string, string> = { Accept: 'application/json' }
    const token = await this.#token()
    if (token) headers['Authorization'] = `Device ${token}`
    const init: RequestInit = { method, headers, cache: 'no-store', credentials: 'omit', referrerPolicy: 'no-referrer' }
    if (body !== null) {
      const packed = await gzip(JSON.stringify(body))
      headers['Content-Type'] = 'application/json'
      if (packed.encoding) headers['Content-Encoding'] = packed.encoding
      init.body = packed.body
    }
    const response = await this.#reach(this.#base + path, init)
    return (await this.#read(response)) as T
  }

  async #reach(url: string, init: RequestInit): Promise<Response> {
    try {
      return await this.#fetch(url, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) })
    } catch {
      throw new RequestRefusal(0, 'field.offline')
    }
  }

  async #read(response: Response): Promise<unknown> {
    let said: unknown
    try {
      said = await response.json()
    } catch {
      // A gate-keeper of a hotel network, a proxy, an answer cut off: nobody we know has answered.
      throw new RequestRefusal(
        response.ok ? 0 : response.status,
        response.ok ? 'field.offline' : 'field.server_trouble',
      )
    }
    if (response.ok) return said
    const { code, field, params } = said as Partial<Refused>
    const after = response.headers.get('Retry-After')
    const values = after ? { retry_after: after, ...params } : params
    throw new RequestRefusal(response.status, code ?? 'field.server_trouble', field ?? null, values)
  }
}
