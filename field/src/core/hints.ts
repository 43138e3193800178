/** What this phone has heard: who was sampled in which round, which tubes are in use. Good for a warning, never for a no. */
import type { FieldDb, Hint } from './db'
import type { Uuid } from './types'

export class Hints {
  readonly #db: FieldDb
  readonly #byPerson = new Map<Uuid, Hint[]>()
  readonly #byTube = new Map<string, Hint[]>()
  readonly #byId = new Map<Uuid, Hint>()

  constructor(db: FieldDb) {
    this.#db = db
  }

  /** Read what lies on the phone; other tabs may have written since. */
  async load(): Promise<void> {
    const all = await this.#db.hints.toArray()
    this.clear()
    this.learn(all)
  }

  clear(): void {
    this.#byPerson.clear()
    this.#byTube.clear()
    this.#byId.clear()
  }

  /** Take these into memory. Writing them down is the caller's, in its own transaction. */
  learn(hints: readonly Hint[]): void {
    for (const hint of hints) {
      if (this.#byId.has(hint.id)) continue
      this.#byId.set(hint.id, hint)
      push(this.#byPerson, hint.person, hint)
      push(this.#byTube, hint.tube, hint)
    }
  }

  unlearn(ids: readonly Uuid[]): void {
    for (const id of ids) {
      const hint = this.#byId.get(id)
      if (!hint) continue
      this.#byId.delete(id)
      pull(this.#byPerson, hint.person, hint)
      pull(this.#byTube, hint.tube, hint)
    }
  }

  /** The latest sample of this person in the round, or null. */
  sampled(person: Uuid, round: number | null): Hint | null {
    const found = (this.#byPerson.get(person) ?? []).filter((one) => round === null || one.round === round)
    return found.reduce<Hint | null>((last, one) => (!last || one.at > last.at ? one : last), null)
  }

  /** Everything heard of this tube. */
  ofTube(tube: string): readonly Hint[] {
    return this.#byTube.get(tube) ?? []
  }

  get(id: Uuid): Hint | null {
    return this.#byId.get(id) ?? null
  }

  /** Write down and learn what the changes feed says. Own samples are known already, and more exactly. */
  async hear(samples: readonly FeedSample[], own: Uuid | null): Promise<void> {
    const hints = samples.flatMap((one) => hintOf(one, own))
    await this.#db.transaction('rw', this.#db.hints, async () => {
      const known = new Set(
        await this.#db.hints
          .where('id')
          .anyOf(hints.map(({ id }) => id))
          .primaryKeys(),
      )
      await this.#db.hints.bulkPut(hints.filter(({ id }) => !known.has(id)))
    })
    this.learn(hints)
  }

  /** These samples were taken back. */
  async drop(ids: readonly Uuid[]): Promise<void> {
    await this.#db.hints.bulkDelete([...ids])
    this.unlearn(ids)
  }

  /** The feed starts again from nothing: only what this phone did itself is still known. */
  async reset(): Promise<void> {
    await this.#db.hints.filter((one) => !one.own).delete()
    await this.load()
  }
}

export interface FeedSample {
  id: Uuid
  person: Uuid
  tube: string
  round: number
  site: number | null
  device: Uuid | null
  at: string
}

function hintOf(sample: FeedSample, own: Uuid | null): Hint[] {
  const at = Date.parse(sample.at)
  return Number.isNaN(at) ? [] : [{ ...sample, at, own: own !== null && sample.device === own }]
}

function push<K>(map: Map<K, Hint[]>, key: K, hint: Hint): void {
  const found = map.get(key)
  if (found) found.push(hint)
  else map.set(key, [hint])
}

function pull<K>(map: Map<K, Hint[]>, key: K, hint: Hint): void {
  const rest = (map.get(key) ?? []).filter((one) => one.id !== hint.id)
  if (rest.length > 0) map.set(key, rest)
  else map.delete(key)
}
