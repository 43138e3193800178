import { computed, shallowRef, watch, type ComputedRef } from 'vue'
import { uuid7 } from '@/core/clock'
import { fact, type BodyOf } from '@/core/contract'
import type { Hint, OpenTube } from '@/core/db'
import type { NewFact } from '@/core/outbox'
import { cleanNumber, lastFour } from '@/core/rules/documents'
import { maskName } from '@/core/rules/masks'
import {
  alone,
  foldTube,
  limitOf,
  memberOf,
  personWarnings,
  readTubeCode,
  tubeWarnings,
  usedWarnings,
  type FoldedTube,
  type TubeItem,
  type TubeNow,
} from '@/core/tube'
import { Refusal, type SliceRow, type Swabbed, type TubePerson, type Uuid, type Warning } from '@/core/types'
import { phone, quietly, roundNow, shown } from './phone'
import { useOutbox } from './useOutbox'
import { useSession } from './useSession'

/** What came of scanning a tube. `opened` false: it was not opened; ask, then call `open` again with `confirmed`. */
export interface Opening {
  opened: boolean
  warnings: Warning[]
}

/** What came of adding somebody: the sample's id and what to say about it. The swab is written in any case. */
export interface Added {
  sample: Uuid
  person: TubePerson
  warnings: Warning[]
}

export interface TubeState {
  /** The code of the open tube, or null. */
  tube: ComputedRef<string | null>
  count: ComputedRef<number>
  /** How many may share this tube: the round's size, or less by the rules of who is in it. */
  limit: ComputedRef<number>
  full: ComputedRef<boolean>
  /** In order of swabbing; empty while locked. */
  people: ComputedRef<TubePerson[]>
  last: ComputedRef<TubePerson | null>
  /** Of the first swab (ms), else of opening; null without a tube. */
  openedAt: ComputedRef<number | null>
  /** Whole minutes since `openedAt`; ticks. */
  minutesOpen: ComputedRef<number>
  /** About the tube as it is now. */
  warnings: ComputedRef<Warning[]>
  /** Throws `Refusal` (`codes.…`) only for a text that no label carries. Wrong kind, used tube: asks first. */
  open(code: string, options?: { confirmed?: boolean; single?: boolean }): Promise<Opening>
  /** What would be said about this person, without writing anything. */
  check(who: Swabbed): Warning[]
  /** Durable when it resolves. Throws only without an open tube, round or site. */
  add(who: Swabbed): Promise<Added>
  /** Withdraw the last swab (or this one). */
  undo(sample?: Uuid, reason?: string): Promise<void>
  move(sample: Uuid, toTube: string, reason: string): Promise<void>
  /** `reason`: why fewer than the limit. */
  seal(reason?: string): Promise<void>
  void(reason: string): Promise<void>
  /** Put an empty tube away without a fact; a tube with people stays open. */
  putAway(): Promise<void>
  /** Somebody found to be in a sealed tube; `second` is who saw it. */
  lateEntry(tube: string, who: Swabbed, reason: string, second: string): Promise<Uuid>
}

const EMPTY: FoldedTube = { people: [], firstAt: null, sealedAt: null, voidedAt: null }
/** What is free text in a fact when nobody gives a reason: undone at once. */
const UNDONE = '撤销'

const open = shallowRef<OpenTube | null>(null)
const folded = shallowRef<FoldedTube>(EMPTY)
let turn = 0
let latest: Promise<void> = Promise.resolve()
let lastSwab: { person: Uuid; at: number } | null = null

const session = useSession()
const size = computed(() => session.round.value?.pool_size ?? 10)
const pooling = computed(() => session.round.value?.pooling ?? null)
const members = computed(() => folded.value.people.map((one) => memberOf(one.person, phone().slice.byId(one.person))))
const limit = computed(() => limitOf(pooling.value, members.value, size.value, open.value?.single ?? false))
const openedAt = computed(() => (open.value ? (folded.value.firstAt ?? open.value.openedAt) : null))
const minutesOpen = computed(() =>
  openedAt.value === null ? 0 : Math.max(0, Math.floor((shown.now.value - openedAt.value) / 60_000)),
)

const warnings = computed<Warning[]>(() => {
  if (!open.value) return []
  const single = open.value.single
  const found = tubeWarnings({ pooling: pooling.value, members: members.value, size: size.value, single })
  const count = folded.value.people.length
  if (count === limit.value) found.push({ code: 'full', values: { limit: limit.value } })
  const most = session.round.value?.open_minutes ?? pooling.value?.open_minutes ?? 60
  if (count > 0 && minutesOpen.value > most) {
    found.push({ code: 'open_too_long', values: { limit: most, found: minutesOpen.value } })
  }
  return found
})

/** Everything this phone wrote about a tube, readable as far as it is unlocked. */
async function itemsOf(code: string): Promise<TubeItem[]> {
  const { db, outbox } = phone()
  const [own, moves] = await Promise.all([
    db.outbox.where('tube').equals(code).toArray(),
    db.outbox.where('kind').equals('testing.sample_moved').toArray(),
  ])
  const seen = new Set(own.map(({ id }) => id))
  const rows = [...own, ...moves.filter(({ id }) => !seen.has(id))]
  return Promise.all(rows.map(async (row) => ({ ...(await outbox.item(row)), about: row.about })))
}

/** Read again what is in the hand. The tube survives a kill because it is nowhere else than in the outbox. */
export function refreshTube(): Promise<void> {
  latest = readTube(++turn)
  return latest
}

async function readTube(mine: number): Promise<void> {
  const found = (await phone().db.read('tube')) ?? null
  const people = found && shown.worker.value ? foldTube(found.code, await itemsOf(found.code)) : EMPTY
  // Of two that read at once the later one has seen more.
  if (mine !== turn) return latest
  open.value = found
  folded.value = people
  shown.now.value = phone().now()
}

function place(): { round: number; site: number; station: number } {
  const { round, site, station } = session
  if (!round.value || !site.value) throw new Refusal('field.no_place')
  return { round: round.value.id, site: site.value.id, station: station.value ?? 0 }
}

function needTube(): OpenTube {
  if (!open.value) throw new Refusal('field.no_tube')
  return open.value
}

/** Who it is: their id where there is one, their line of the slice, and what to show of them. */
function known(who: Swabbed): { person: Uuid | null; row: SliceRow | null; name: string; lastFour: string } {
  if ('unknown' in who) {
    const { name, number = '' } = who.unknown
    return { person: null, row: null, name: maskName(name.trim()), lastFour: lastFour(cleanNumber(number)) }
  }
  const row = 'row' in who ? who.row : phone().slice.byId(who.person)
  return {
    person: row?.person ?? ('person' in who ? who.person : null),
    row,
    name: row?.name ?? '',
    lastFour: row?.lastFour ?? '',
  }
}

function check(who: Swabbed): Warning[] {
  const { person, row } = known(who)
  const tube: TubeNow = {
    code: open.value?.code ?? '',
    people: folded.value.people,
    members: members.value,
    size: size.value,
    single: open.value?.single ?? false,
    pooling: pooling.value,
  }
  const { hints, slice, now } = phone()
  const sampled = person ? hints.sampled(person, roundNow()) : null
  const member = memberOf(person ?? 'new', row)
  return personWarnings(tube, { person, member, sampled, who, sliceSize: slice.size, at: now(), last: lastSwab })
}

/** The facts of one swab: the person too, where nobody knew them. */
function swabFacts<K extends 'testing.sample_taken' | 'testing.late_entry'>(
  who: Swabbed,
  kind: K,
  body: BodyOf<K> & { tube: string },
  said: Warning[],
): { facts: NewFact[]; person: TubePerson } {
  const at = phone().now()
  const { person, name, lastFour: four } = known(who)
  const sample = uuid7(at)
  const id = person ?? uuid7(at)
  const { tube } = body
  const note = { name, lastFour: four, warnings: said }
  const facts: NewFact[] = []
  if ('unknown' in who) facts.push({ ...fact('people.person_registered', registration(who.unknown)), id, at, note })
  const single = body.single === true
  facts.push({ ...fact<K>(kind, { ...body, person: id }), id: sample, at, tube, note })
  return { facts, person: { sample, person: id, name, lastFour: four, at, single, warnings: said } }
}

function registration(one: {
  name: string
  kind?: string
  number?: string
  phone?: string
  group?: string
}): BodyOf<'people.person_registered'> {
  const { name, kind = '', number = '', phone: line = '', group = '' } = one
  const body: BodyOf<'people.person_registered'> = { site: place().site, name: name.trim() }
  if (number) body.document = { kind, number }
  if (line) body.phone = line
  if (group) body.group = group
  return body
}

function hintFor(person: TubePerson, tube: string): Hint {
  const { round, site } = place()
  const device = shown.device.value?.id ?? null
  return { id: person.sample, person: person.person, tube, round, site, device, at: person.at, own: true }
}

const state: TubeState = {
  tube: computed(() => open.value?.code ?? null),
  count: computed(() => folded.value.people.length),
  limit,
  full: computed(() => open.value !== null && folded.value.people.length >= limit.value),
  people: computed(() => folded.value.people),
  last: computed(() => folded.value.people.at(-1) ?? null),
  openedAt,
  minutesOpen,
  warnings,
  check,

  async open(text, options = {}) {
    const scanned = readTubeCode(text, session.round.value?.codes.tube_pattern ?? null)
    const { code } = scanned
    if (code === open.value?.code) return { opened: true, warnings: [] }
    const before = foldTube(code, await itemsOf(code))
    const used = usedWarnings(before, phone().hints.ofTube(code), shown.device.value?.id ?? null)
    const found = [...scanned.warnings, ...used]
    if ((scanned.ask || used.length > 0) && !options.confirmed) return { opened: false, warnings: found }
    const tube: OpenTube = { code, openedAt: phone().now(), single: options.single ?? false }
    await phone().db.write({ tube })
    await refreshTube()
    return { opened: true, warnings: found }
  },

  async add(who) {
    const tube = needTube()
    const said = check(who)
    const { person: id, row } = known(who)
    const single = tube.single || (folded.value.people.length === 0 && alone(pooling.value, memberOf(id ?? 'new', row)))
    const body = { ...place(), tube: tube.code, ...(single ? { single } : {}) }
    const { facts, person } = swabFacts(who, 'testing.sample_taken', body, said)
    await phone().put(facts, { hints: [hintFor(person, tube.code)] })
    lastSwab = { person: person.person, at: person.at }
    await refreshTube()
    return { sample: person.sample, person, warnings: said }
  },

  async undo(sample, reason = UNDONE) {
    const target = sample ?? folded.value.people.at(-1)?.sample
    if (!target) return
    await useOutbox().withdraw(target, reason)
    lastSwab = null
    await refreshTube()
  },

  async move(sample, toTube, reason) {
    const { round, site } = place()
    const { db, hints, outbox } = phone()
    const to = readTubeCode(toTube, session.round.value?.codes.tube_pattern ?? null).code
    const row = await db.outbox.where('id').equals(sample).first()
    const item = row ? await outbox.item(row) : null
    const note = { ...item?.note, person: item?.body?.['person'] }
    const moved = fact('testing.sample_moved', { round, site, sample, to_tube: to, reason })
    const hint = hints.get(sample)
    const along = hint ? { dropHints: [sample], hints: [{ ...hint, tube: to }] } : {}
    await phone().put([{ ...moved, tube: row?.tube, about: sample, note }], along)
    await refreshTube()
  },

  async seal(reason = '') {
    const { code } = needTube()
    const body = { ...place(), tube: code, people: folded.value.people.length, ...(reason ? { reason } : {}) }
    await phone().put([{ ...fact('testing.tube_sealed', body), tube: code }], { meta: { tube: null } })
    await refreshTube()
  },

  async void(reason) {
    const { code } = needTube()
    const { round, site } = place()
    const dropHints = folded.value.people.map((one) => one.sample)
    const voided = fact('testing.tube_voided', { round, site, tube: code, reason })
    await phone().put([{ ...voided, tube: code }], { meta: { tube: null }, dropHints })
    await refreshTube()
  },

  async putAway() {
    if (folded.value.people.length > 0) return
    await phone().db.write({ tube: null })
    await refreshTube()
  },

  async lateEntry(text, who, reason, second) {
    const { code } = readTubeCode(text, session.round.value?.codes.tube_pattern ?? null)
    const body = { ...place(), tube: code, reason, second }
    const { facts, person } = swabFacts(who, 'testing.late_entry', body, [])
    await phone().put(facts, { hints: [hintFor(person, code)] })
    await refreshTube()
    return person.sample
  },
}

// Unlocking makes the people readable again; another tab may have swabbed meanwhile.
watch([shown.worker, shown.ready, shown.counts], () => shown.ready.value && quietly(refreshTube()), { immediate: true })

/** The tube in the hand: who is in it, what to say about it. Rebuilt from the outbox after a kill. */
export function useTube(): TubeState {
  return state
}
