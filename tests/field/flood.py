"""Many facts put into a phone's outbox at once, as days without a network would have left them.

Written against what ADR and vectors say of the sealed outbox and not with the app's own code: a second word on it.
"""

from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Page

FILL = r"""
async ({ bodies, by }) => {
  const ask = request => new Promise((done, fail) => {
    request.onsuccess = () => done(request.result); request.onerror = () => fail(request.error)
  })
  const text = value => new TextEncoder().encode(value)
  const uuid = ms => {
    const bytes = crypto.getRandomValues(new Uint8Array(16))
    for (let n = 0; n < 6; n++) bytes[n] = Math.floor(ms / 2 ** (8 * (5 - n))) % 256
    bytes[6] = bytes[6] % 16 + 0x70; bytes[8] = bytes[8] % 64 + 0x80
    return [...bytes].map(one => one.toString(16).padStart(2, '0')).join('')
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
  }
  const db = await ask(indexedDB.open('dabai-field'))
  const read = db.transaction('meta').objectStore('meta')
  const [sealing, last] = await Promise.all([ask(read.get('sealingKey')), ask(read.get('seq'))])
  const curve = { name: 'ECDH', namedCurve: 'P-256' }
  const pair = await crypto.subtle.generateKey(curve, false, ['deriveBits'])
  const epk = new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey))
  const server = await crypto.subtle.importKey('raw', sealing.value.public, curve, false, [])
  const shared = await crypto.subtle.deriveBits({ name: 'ECDH', public: server }, pair.privateKey, 256)
  const base = await crypto.subtle.importKey('raw', shared, 'HKDF', false, ['deriveBits'])
  const content = await crypto.subtle.deriveBits(
    { name: 'HKDF', hash: 'SHA-256', salt: epk, info: text('dabai/outbox') }, base, 256)
  const key = await crypto.subtle.importKey('raw', content, 'AES-GCM', false, ['encrypt'])
  const envelope = crypto.randomUUID()
  let seq = last?.value ?? 0
  const started = Date.now() - bodies.length * 1000
  const rows = []
  for (const [kind, body] of bodies) {
    const at = started + rows.length * 1000, id = uuid(at), nonce = crypto.getRandomValues(new Uint8Array(12))
    seq += 1
    const fact = { id, kind, level: 1, happened_at: new Date(at).toISOString(), device_seq: seq, by, body }
    const closed = new Uint8Array(await crypto.subtle.encrypt(
      { name: 'AES-GCM', iv: nonce, additionalData: text(id) }, key, text(JSON.stringify(fact))))
    const sealed = new Uint8Array(12 + closed.length)
    sealed.set(nonce); sealed.set(closed, 12)
    rows.push({ seq, id, kind, at, by, envelope, sealed, display: null, state: 'pending', code: null, field: null,
      flags: [], cases: [], attention: 'none', tube: body.tube ?? null, about: null })
  }
  const write = db.transaction(['meta', 'outbox', 'envelopes'], 'readwrite', { durability: 'strict' })
  for (const row of rows) write.objectStore('outbox').add(row)
  write.objectStore('envelopes').put({ id: envelope, key: sealing.value.number, epk })
  write.objectStore('meta').put({ name: 'seq', value: seq })
  await new Promise((done, fail) => { write.oncomplete = done; write.onabort = () => fail(write.error) })
  db.close()
  return rows.map(row => row.id)
}
"""


def fill(page: Page, bodies: Sequence[tuple[str, dict[str, Any]]], by: str) -> list[str]:
    """Seal these (kind, body) into the outbox, a second apart until now; their ids."""
    ids: list[str] = page.evaluate(FILL, {"bodies": [list(one) for one in bodies], "by": by})
    return ids
