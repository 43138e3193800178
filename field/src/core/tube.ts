/**
 * The tube in the hand, as plain functions: who is in it by what the phone wrote, and what to say about it.
 *
 * Nothing here forbids. A swab that has happened is written; what looks wrong is said, and written beside it.
 */
import type { Hint } from './db'
import { checkCode, canStore, cleanCode } from './rules/codes'
import { normaliseDocument } from './rules/documents'
import { checkPool, ruleFor, tubeLimit, type Finding, type Member, type Pooling } from './rules/pooling'
import {
  Refusal,
  type OutboxItem,
  type SliceRow,
  type Swabbed,
  type TubePerson,
  type Uuid,
  type Warning,
} from './types'

export const SAMPLE_KINDS: readonly string[] = ['testing.sample_taken', 'testing.late_entry']
/** Within this time the same person again is more likely a second scan than a second swab. */
export const AGAIN_MS = 5_000

export type TubeItem = Pick<OutboxItem, 'id' | 'seq' | 'kind' | 'at' | 'tube' | 'body' | 'note'> & {
  about: Uuid | null
}

export interface FoldedTube {
  people: TubePerson[]
  /** Of the first swab that is still in it. */
  firstAt: number | null
  sealedAt: number | null
  voidedAt: number | null
}

const word = (value: unknown): string => (typeof value === 'string' ? value : '')

/**
 * Who is in the tube `code`, from everything this phone wrote about it and every move. Rows that can't be read now (the
 * display copy is gone, or under another shift's key) count as somebody without a name.
 */
export function foldTube(code: string, items: readonly TubeItem[]): FoldedTube {
  const ordered = [...items].sort((a, b) => a.seq - b.seq)
  const gone = new Set(ordered.filter((one) => one.kind === 'journal.fact_withdrawn').map((one) => one.about))
  const inForce = ordered.filter((one) => !gone.has(one.id))
  const people = new Map<Uuid, TubePerson>()
  for (const item of inForce) {
    if (SAMPLE_KINDS.includes(item.kind) && item.tube === code) people.set(item.id, personOf(item))
    if (item.kind === 'testing.sample_moved' && item.about && !gone.has(item.about)) {
      people.delete(item.about)
      if (item.body?.['to_tube'] === code) people.set(item.about, { ...personOf(item), sample: item.about })
    }
  }
  const said = (kind: string) => inForce.find((one) => one.kind === kind && one.tube === code)?.at ?? null
  const list = [...people.values()]
  const firstAt = list.reduce<number | null>((first, one) => (first === null || one.at < first ? one.at : first), null)
  return { people: list, firstAt, sealedAt: said('testing.tube_sealed'), voidedAt: said('testing.tube_voided') }
}

function personOf({ id, at, body, note }: TubeItem): TubePerson {
  return {
    sample: id,
    person: word(body?.['person']) || word(note?.['person']),
    name: note?.name ?? '',
    lastFour: note?.lastFour ?? '',
    at,
    single: body?.['single'] === true,
    warnings: note?.warnings ?? [],
  }
}

/** What the pool rules know of somebody. A person outside the slice is one of "everybody else". */
export function memberOf(person: Uuid, row: SliceRow | null): Member {
  if (!row) return { person }
  const { group, household, householdSealed, area } = row
  return { person, group, household, household_sealed: householdSealed, street: area.slice(0, 9) }
}

/** How many may share this tube. Somebody who must be alone makes it a tube of one. */
export function limitOf(pooling: Pooling | null, members: readonly Member[], size: number, single: boolean): number {
  if (single) return 1
  if (!pooling || members.length === 0) return size
  if (members.some((member) => ruleFor(pooling, member).sharing === 'nobody')) return 1
  return tubeLimit(pooling, members, size)
}

/** Whether somebody with these rules gets a tube of their own. */
export function alone(pooling: Pooling | null, member: Member): boolean {
  return pooling !== null && ruleFor(pooling, member).sharing === 'nobody'
}

const SAID_ELSEWHERE: ReadonlySet<string> = new Set(['empty', 'short', 'same_person_twice', 'open_too_long'])

/** What the pool rules say of these people together. */
export function poolWarnings(pooling: Pooling | null, members: readonly Member[], size: number): Warning[] {
  if (!pooling || members.length === 0) return []
  return checkPool(pooling, members, { size, confirmed: true })
    .filter((one) => !SAID_ELSEWHERE.has(one.code))
    .map(warningOf)
}

function warningOf({ code, limit, found, people }: Finding): Warning {
  return { code: code as Warning['code'], values: { limit, found, people: people.length } }
}

export interface TubeNow {
  code: string
  people: readonly TubePerson[]
  members: readonly Member[]
  size: number
  single: boolean
  pooling: Pooling | null
}

export interface PersonNow {
  person: Uuid | null
  member: Member
  /** The latest sample of this person in the round, as far as heard. */
  sampled: Hint | null
  who: Swabbed
  sliceSize: number
  at: number
  /** The last swab of this phone, in whatever tube. */
  last: { person: Uuid; at: number } | null
}

/** What to say when this person is put into this tube: only what is new with them. */
export function personWarnings(tube: TubeNow, one: PersonNow): Warning[] {
  const { person, member, sampled, who, sliceSize, at, last } = one
  const found: Warning[] = []
  const here = tube.people.find((other) => other.person === person)
  if (person && last?.person === person && at - last.at < AGAIN_MS) {
    found.push({ code: 'same_person_again', values: { seconds: Math.max(1, Math.round((at - last.at) / 1_000)) } })
  } else if (person && here) {
    found.push({ code: 'in_tube_already', values: {} })
  } else if (person && sampled) {
    found.push({ code: 'already_sampled', values: { tube: sampled.tube, at: sampled.at } })
  }
  if ('person' in who && sliceSize > 0) found.push({ code: 'outside_slice', values: {} })
  if ('unknown' in who) found.push(...numberWarnings(who.unknown.kind ?? '', who.unknown.number ?? '', at))
  const before = new Set(tubeWarnings(tube).map(({ code }) => code))
  const after = tubeWarnings({ ...tube, members: [...tube.members, member] })
  return [...found, ...after.filter(({ code }) => !before.has(code))]
}

/** What is wrong with a tube of these people, time apart. Somebody who must be alone makes it neither full nor too full. */
export function tubeWarnings({
  pooling,
  members,
  size,
  single,
}: Pick<TubeNow, 'pooling' | 'members' | 'size' | 'single'>): Warning[] {
  const found = poolWarnings(pooling, members, size)
  const limit = limitOf(pooling, members, size, single)
  const count = new Set(members.map(({ person }) => person)).size
  const said = found.some(({ code }) => code === 'over_full' || code === 'key_group_pooled')
  return count > limit && !said ? [...found, { code: 'over_full', values: { limit, found: count, people: 0 } }] : found
}

function numberWarnings(kind: string, number: string, at: number): Warning[] {
  if (!number) return []
  const today = new Date(at).toISOString().slice(0, 10)
  try {
    const { doubt } = normaliseDocument(kind, number, today)
    return doubt && doubt !== 'documents.no_check_digit' ? [{ code: 'number_doubtful', values: { reason: doubt } }] : []
  } catch (error) {
    const reason = error instanceof Refusal ? error.code : ''
    return [{ code: 'number_doubtful', values: { reason } }]
  }
}

export interface ScannedTube {
  code: string
  /** Ask before opening it. */
  ask: boolean
  warnings: Warning[]
}

/**
 * What a scanned or typed tube code is. Throws the refusal `codes.…` only for what no fact could carry; a code of a box,
 * or one that no pattern allows, is asked about.
 */
export function readTubeCode(text: string, pattern: string | null): ScannedTube {
  const code = cleanCode(text)
  try {
    const { suspect } = checkCode('tube', code, pattern)
    return { code, ask: false, warnings: suspect ? [{ code: 'code_suspect', values: { tube: code } }] : [] }
  } catch (error) {
    if (!(error instanceof Refusal) || !canStore(code)) throw error
    const found = word(error.values['found'])
    if (error.code === 'codes.wrong_kind')
      return { code, ask: true, warnings: [{ code: 'wrong_kind', values: { found } }] }
    return { code, ask: true, warnings: [{ code: 'code_invalid', values: { reason: error.code } }] }
  }
}

/** Whether the tube was used before, by what this phone wrote and by what it heard of others. */
export function usedWarnings(folded: FoldedTube, heard: readonly Hint[], device: Uuid | null): Warning[] {
  const closed = folded.sealedAt ?? folded.voidedAt
  if (closed !== null) return [{ code: 'tube_used_here', values: { at: closed, people: folded.people.length } }]
  const others = heard.filter((one) => !one.own && one.device !== device)
  const first = others[0]
  return first ? [{ code: 'tube_used', values: { at: first.at, people: others.length } }] : []
}
