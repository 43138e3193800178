/** A server in a few lines: what the field app's own tests talk to. It opens what phones seal, and remembers. */
import { gunzipSync } from 'node:zlib'
import * as crypto from '@/core/crypto'
import type { Fetch } from '@/core/api'

export interface StoredFact {
  id: string
  kind: string
  level: number
  happened_at: string
  device_seq: number
  by: string
  body: Record<string, unknown>
}

type Handler = (url: URL, body: Record<string, unknown>) => unknown

export const DEVICE = '017f8c2a-0000-7000-8000-00000000d001'
export const SECRET = crypto.random(32)
export const PIN = '270384'

export class FakeServer {
  /** In the order of arrival; an id is there once. */
  readonly stored = new Map<string, StoredFact>()
  readonly requests: { path: string; facts: number; body: Record<string, unknown> }[] = []
  offline = false
  /** Commit, then lose the answer: what a kill in the middle looks like. */
  loseAnswers = 0
  lost = false
  revoked = false
  unauthorised = false
  /** Facts of these ids make a whole request unfit. */
  poison = new Set<string>()
  /** Facts of these kinds are refused one by one. */
  refuses = new Set<string>()
  /** Forget to answer for these. */
  silentAbout = new Set<string>()
  maxFacts = 500
  now: () => number = Date.now
  reference: Record<string, unknown> = {}
  changes: Record<string, unknown>[] = []
  slices: { version: string; rows: unknown[][]; perBlock: number } = { version: 'v1', rows: [], perBlock: 500 }
  due: Record<string, unknown> = { items: [], as_of: null }
  forms: unknown = []
  failSliceAfter = Infinity
  #pair: CryptoKeyPair | null = null
  readonly #contents = new Map<string, CryptoKey>()

  readonly fetch: Fetch = async (input, init) => {
    const url = new URL(input, 'http://127.0.0.1')
    const body = await bodyOf(init)
    const facts = Array.isArray(body['facts']) ? body['facts'].length : 0
    if (this.offline) throw new TypeError('Failed to fetch')
    this.requests.push({ path: url.pathname.replace('/api/v1', ''), facts, body })
    const path = url.pathname.replace('/api/v1', '')
    if (this.unauthorised) return answer(401, { code: 'access.token_unknown', field: null, params: {} })
    if (path !== '/facts' && path !== '/devices/pair' && (this.lost || this.revoked)) {
      return answer(403, { code: 'access.device_not_allowed', field: null, params: { lost: this.lost } })
    }
    const handler = this.#handlers[path]
    if (!handler) return answer(404, { code: 'api.not_found', field: null, params: {} })
    const said = await handler(url, body)
    if (said instanceof Response) return said
    if (this.loseAnswers > 0 && path === '/facts') {
      this.loseAnswers -= 1
      throw new TypeError('Failed to fetch')
    }
    return answer(200, said)
  }

  readonly #handlers: Record<string, Handler> = {
    '/devices/pair': async () => ({
      device: DEVICE,
      name: '',
      token: 'token-of-this-device',
      district: 1,
      operation: 1,
      scope: [],
      sealing_key: { number: 3, public: crypto.toBase64(await this.publicKey()) },
    }),
    '/devices/sign-on': async (_, { login, pin }) =>
      pin === PIN
        ? {
            login,
            display_name: '演佳禾',
            roles: ['sampler'],
            valid_until: new Date(this.now() + 12 * 3_600_000).toISOString(),
            valid_seconds: 12 * 3_600,
            sealing_key: { number: 3, public: crypto.toBase64(await this.publicKey()) },
            device_secret: crypto.toBase64(SECRET),
            slice: { version: this.slices.version, people: this.slices.rows.length },
          }
        : answer(403, { code: 'access.pin_wrong', field: 'pin', params: {} }),
    '/facts': (_, body) => this.#facts(body),
    '/reference': () => ({
      now: new Date(this.now()).toISOString(),
      district: 1,
      operation: { id: 1, name: '演练', kind: 'drill', drill: true, ended: false },
      rounds: [],
      sites: [],
      kinds: {},
      scope: [],
      slice: { version: this.slices.version, people: this.slices.rows.length },
      ...this.reference,
    }),
    '/changes': (url) => {
      const at = Number(url.searchParams.get('cursor') ?? 0)
      const page = this.changes[at] ?? {}
      const more = at + 1 < this.changes.length
      const cursor = String(Math.min(at + 1, this.changes.length))
      return { reset: false, entries: [], attention: [], samples: [], ...page, cursor, more }
    },
    '/slice': (url) => this.#slice(Number(url.searchParams.get('after') ?? 0)),
    '/due': () => this.due,
    '/forms': () => this.forms,
  }

  async publicKey(): Promise<crypto.Bytes> {
    const curve = { name: 'ECDH', namedCurve: 'P-256' }
    this.#pair ??= (await globalThis.crypto.subtle.generateKey(curve, true, ['deriveBits'])) as CryptoKeyPair
    return new Uint8Array(await globalThis.crypto.subtle.exportKey('raw', this.#pair.publicKey))
  }

  async #facts(body: Record<string, unknown>): Promise<unknown> {
    const sent = body['facts'] as { id: string; envelope: string; sealed: string }[]
    if (sent.length > this.maxFacts) return answer(413, { code: 'api.request_too_large', field: null, params: {} })
    if (sent.some((one) => this.poison.has(one.id))) {
      return answer(422, { code: 'api.request_invalid', field: 'facts', params: {} })
    }
    const envelopes = body['envelopes'] as { id: string; key: number; epk: string }[]
    const receipts = []
    for (const one of sent) {
      const envelope = envelopes.find(({ id }) => id === one.envelope)
      if (!envelope || !this.#pair) throw new Error('An envelope is missing')
      const plain = await crypto.open(
        await this.#contentKey(envelope.epk, this.#pair.privateKey),
        crypto.fromBase64(one.sealed),
        one.id,
      )
      const fact = JSON.parse(crypto.text(plain)) as StoredFact
      const refused = this.refuses.has(fact.kind)
      if (!this.stored.has(fact.id)) this.stored.set(fact.id, fact)
      if (this.silentAbout.has(fact.id)) continue
      receipts.push(
        refused
          ? { id: one.id, verdict: 'refused', code: 'journal.refused', field: 'body' }
          : { id: one.id, verdict: 'accepted' },
      )
    }
    return { received_at: new Date(this.now()).toISOString(), receipts, ...(this.lost ? { wipe: true } : {}) }
  }

  async #contentKey(encoded: string, own: CryptoKey): Promise<CryptoKey> {
    const epk = crypto.fromBase64(encoded)
    const known = this.#contents.get(encoded)
    if (known) return known
    const key = await crypto.aesKey(await crypto.contentKey(await crypto.sharedSecret(own, epk), epk))
    this.#contents.set(encoded, key)
    return key
  }

  async #slice(at: number): Promise<unknown> {
    const { version, rows, perBlock } = this.slices
    if (at >= this.failSliceAfter) return answer(503, { code: 'api.busy', field: null, params: {} })
    const key = await crypto.aesKey(await crypto.deviceKey(SECRET, 'slice'))
    const part = rows.slice(at * perBlock, (at + 1) * perBlock)
    const data = await crypto.seal(key, crypto.utf8(JSON.stringify(part)), `slice|${version}|${at}`)
    const more = (at + 1) * perBlock < rows.length
    return {
      version,
      reset: false,
      more,
      after: more ? String(at + 1) : '',
      blocks: [{ n: at, data: crypto.toBase64(data) }],
    }
  }
}

function answer(status: number, body: unknown): Response {
  return new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } })
}

async function bodyOf(init: RequestInit | undefined): Promise<Record<string, unknown>> {
  if (!init?.body) return {}
  const bytes = new Uint8Array(await new Response(init.body).arrayBuffer())
  const gzipped = new Headers(init.headers).get('Content-Encoding') === 'gzip'
  return JSON.parse(new TextDecoder().decode(gzipped ? gunzipSync(bytes) : bytes)) as Record<string, unknown>
}

/** The token under which a row with this number is found. */
export async function tokenOf(number: string): Promise<string> {
  const key = await crypto.hmacKey(await crypto.deviceKey(SECRET, 'lookup'))
  return crypto.lookupToken(key, number)
}
