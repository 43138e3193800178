/** What the server says about the operation, as this app understands it: unknown things are dropped, missing ones are nothing. */
import type { Pooling } from './rules/pooling'
import type { FormKind, Reference, Round, ScopeItem, Site, Station } from './types'

type Raw = Readonly<Record<string, unknown>>

const raw = (value: unknown): Raw => (value && typeof value === 'object' ? (value as Raw) : {})
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])
const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const orNull = (value: unknown): string | null => (typeof value === 'string' && value ? value : null)
const number = (value: unknown, otherwise = 0): number => (typeof value === 'number' ? value : otherwise)

export function readReference(answer: unknown): Reference {
  const said = raw(answer)
  const operation = raw(said['operation'])
  const slice = raw(said['slice'])
  return {
    now: text(said['now']),
    district: number(said['district']),
    operation: {
      id: number(operation['id'], number(said['operation'])),
      name: text(operation['name']),
      kind: text(operation['kind']),
      drill: operation['drill'] === true,
      ended: operation['ended'] === true,
    },
    rounds: list(said['rounds']).map(readRound),
    sites: list(said['sites']).map(readSite),
    kinds: raw(said['kinds']) as Record<string, number>,
    scope: list(said['scope']).map(readScope),
    slice: slice['version'] ? { version: text(slice['version']), people: number(slice['people']) } : null,
  }
}

function readRound(answer: unknown): Round {
  const said = raw(answer)
  const pooling = (said['pooling'] ?? null) as Pooling | null
  return {
    id: number(said['id']),
    number: number(said['number']),
    name: text(said['name']),
    pool_size: number(said['pool_size'], 10),
    state: text(said['state']),
    starts_at: orNull(said['starts_at']),
    ends_at: orNull(said['ends_at']),
    codes: readPatterns(raw(said['codes'])),
    pooling,
    open_minutes: number(said['open_minutes'], pooling?.open_minutes ?? 60),
    tubes_per_bag: number(said['tubes_per_bag'], 20),
  }
}

function readPatterns(said: Raw): Round['codes'] {
  const { tube_pattern: tube, box_pattern: box, bag_pattern: bag } = said
  return { tube_pattern: orNull(tube), box_pattern: orNull(box), bag_pattern: orNull(bag) }
}

function readSite(answer: unknown): Site {
  const said = raw(answer)
  return {
    id: number(said['id']),
    code: text(said['code']),
    kind: text(said['kind']),
    name: text(said['name']),
    area: text(said['area']),
    stations: list(said['stations']).map(readStation),
  }
}

function readStation(answer: unknown): Station {
  if (typeof answer === 'number') return { number: answer, name: '' }
  return { number: number(raw(answer)['number']), name: text(raw(answer)['name']) }
}

function readScope(answer: unknown): ScopeItem {
  const said = raw(answer)
  return {
    site: typeof said['site'] === 'number' ? said['site'] : null,
    area: orNull(said['area']),
    valid_from: text(said['valid_from']),
    valid_to: orNull(said['valid_to']),
  }
}

/** Forms as the server sends them: a list, or a list under `forms`. */
export function readForms(answer: unknown): FormKind[] {
  const found = Array.isArray(answer) ? answer : list(raw(answer)['forms'])
  return found.filter((one) => text(raw(one)['kind']) && raw(one)['schema']) as FormKind[]
}

const RUNNING: ReadonlySet<string> = new Set(['running', 'make_up', 'closing'])

const latest = (rounds: readonly Round[]): Round | null =>
  rounds.reduce<Round | null>((best, one) => (!best || one.number > best.number ? one : best), null)

/** The round that a phone works for when nobody has chosen: the latest that runs, else the latest. */
export function defaultRound(rounds: readonly Round[]): Round | null {
  return latest(rounds.filter((one) => RUNNING.has(one.state))) ?? latest(rounds)
}
