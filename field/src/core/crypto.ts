/**
 * What this phone seals, and how: WebCrypto in a few words. Examples for every function: `contract/vectors/sealing.json`.
 *
 * A sealed text is `nonce (12 bytes) + ciphertext + tag` of AES-256-GCM, its associated data says what it is and whose.
 */

export type Bytes = Uint8Array<ArrayBuffer>

const subtle = (): SubtleCrypto => globalThis.crypto.subtle
const NONCE = 12

export const utf8 = (text: string): Bytes => new TextEncoder().encode(text) as Bytes
export const text = (bytes: BufferSource): string => new TextDecoder().decode(bytes)
export const random = (length: number): Bytes => globalThis.crypto.getRandomValues(new Uint8Array(length))

export function toBase64(bytes: Uint8Array): string {
  let binary = ''
  for (let at = 0; at < bytes.length; at += 0x8000) binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000))
  return btoa(binary)
}

export function fromBase64(encoded: string): Bytes {
  return Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0))
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** HKDF-SHA256, 32 bytes. */
export async function hkdf(secret: BufferSource, salt: BufferSource, info: string): Promise<Bytes> {
  const base = await subtle().importKey('raw', secret, 'HKDF', false, ['deriveBits'])
  const spec = { name: 'HKDF', hash: 'SHA-256', salt, info: utf8(info) }
  return new Uint8Array(await subtle().deriveBits(spec, base, 256))
}

/** The key of one use that follows from the device's secret. */
export const deviceKey = (secret: BufferSource, label: 'slice' | 'lookup' | 'display'): Promise<Bytes> =>
  hkdf(secret, new Uint8Array(0), `dabai/${label}`)

export const aesKey = (bytes: BufferSource, uses: ('encrypt' | 'decrypt')[] = ['encrypt', 'decrypt']) =>
  subtle().importKey('raw', bytes, 'AES-GCM', false, uses)

/** A key that never leaves this browser's own storage. */
export const makeResidentKey = (): Promise<CryptoKey> =>
  subtle().generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt'])

/** PBKDF2-SHA256: the key that a PIN makes. */
export async function pinKey(pin: string, salt: BufferSource, iterations: number): Promise<Bytes> {
  const base = await subtle().importKey('raw', utf8(pin), 'PBKDF2', false, ['deriveBits'])
  const spec = { name: 'PBKDF2', hash: 'SHA-256', salt, iterations }
  return new Uint8Array(await subtle().deriveBits(spec, base, 256))
}

export async function seal(key: CryptoKey, plain: BufferSource, about: string, nonce = random(NONCE)): Promise<Bytes> {
  const spec = { name: 'AES-GCM', iv: nonce, additionalData: utf8(about) }
  const closed = new Uint8Array(await subtle().encrypt(spec, key, plain))
  const whole = new Uint8Array(NONCE + closed.length)
  whole.set(nonce)
  whole.set(closed, NONCE)
  return whole
}

/** The plain bytes. Rejects when key, associated data or a single bit is another. */
export async function open(key: CryptoKey, sealed: Bytes, about: string): Promise<Bytes> {
  const spec = { name: 'AES-GCM', iv: sealed.subarray(0, NONCE), additionalData: utf8(about) }
  return new Uint8Array(await subtle().decrypt(spec, key, sealed.subarray(NONCE)))
}

const CURVE = { name: 'ECDH', namedCurve: 'P-256' }

/** The shared secret of our private key and their public one (raw, uncompressed). */
export async function sharedSecret(ours: CryptoKey, theirs: BufferSource): Promise<Bytes> {
  const peer = await subtle().importKey('raw', theirs, CURVE, false, [])
  return new Uint8Array(await subtle().deriveBits({ name: 'ECDH', public: peer }, ours, 256))
}

/** The key under which facts are sealed to the server. `epk`: our ephemeral public key, raw. */
export const contentKey = (shared: BufferSource, epk: BufferSource): Promise<Bytes> => hkdf(shared, epk, 'dabai/outbox')

/** What seals to the server, and what the server needs to open it. Nothing on the phone can open it again. */
export interface SealingEnvelope {
  key: CryptoKey
  epk: Bytes
}

/** A new envelope to the server's public key (raw, uncompressed). */
export async function makeEnvelope(serverPublic: BufferSource): Promise<SealingEnvelope> {
  const pair = (await subtle().generateKey(CURVE, false, ['deriveBits'])) as CryptoKeyPair
  const epk = new Uint8Array(await subtle().exportKey('raw', pair.publicKey))
  const content = await contentKey(await sharedSecret(pair.privateKey, serverPublic), epk)
  return { key: await aesKey(content, ['encrypt']), epk }
}

export const hmacKey = (bytes: BufferSource): Promise<CryptoKey> =>
  subtle().importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])

/** By what a row of the slice is found: six bytes, hex, of the HMAC of a normalised number. */
export async function lookupToken(key: CryptoKey, number: string): Promise<string> {
  return toHex(new Uint8Array(await subtle().sign('HMAC', key, utf8(number))).subarray(0, 6))
}

/** gzip where the browser can; else as it is. */
export async function gzip(plain: string): Promise<{ body: BodyInit; encoding: string | null }> {
  if (typeof CompressionStream === 'undefined') return { body: plain, encoding: null }
  const stream = new Blob([plain]).stream().pipeThrough(new CompressionStream('gzip'))
  return { body: await new Response(stream).arrayBuffer(), encoding: 'gzip' }
}
