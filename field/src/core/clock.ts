/** The phone's time, ids that sort by it, and how far it is from the server's. */
import { random, toHex } from './crypto'
import type { Uuid } from './types'

export type Now = () => number

let lastMs = 0
let lastCount = 0

/**
 * A UUIDv7 of `at` (ms). Within one tab ids never go back: a clock that does is held, and a counter counts within a
 * millisecond.
 */
export function uuid7(at: number = Date.now()): Uuid {
  const entropy = random(10)
  if (at > lastMs) {
    lastMs = at
    lastCount = (((entropy[0] ?? 0) << 8) | (entropy[1] ?? 0)) & 0x07ff
  } else if (++lastCount > 0x0fff) {
    lastMs += 1
    lastCount = 0
  }
  const time = lastMs.toString(16).padStart(12, '0')
  const variant = ((entropy[2] ?? 0) & 0x3f) | 0x80
  const tail = toHex(Uint8Array.of(variant, ...entropy.subarray(3)))
  const count = lastCount.toString(16).padStart(3, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${count}-${tail.slice(0, 4)}-${tail.slice(4)}`
}

/** A random UUID (v4), for envelopes. */
export function uuid4(): Uuid {
  const bytes = random(16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return toHex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/**
 * The server's clock minus ours (ms), from one exchange: the server's word is taken as of the middle of the wait.
 * An exchange that took long says little, so it keeps the earlier measure where there is one.
 */
export function measureSkew(
  serverTime: string,
  sentAt: number,
  answeredAt: number,
  before: number | null,
): number | null {
  const server = Date.parse(serverTime)
  if (Number.isNaN(server)) return before
  const waited = answeredAt - sentAt
  if (before !== null && (waited > 5_000 || waited < 0)) return before
  return Math.round(server - (sentAt + answeredAt) / 2)
}
