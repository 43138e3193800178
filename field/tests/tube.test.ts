import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  limitOf,
  memberOf,
  personWarnings,
  poolWarnings,
  readTubeCode,
  usedWarnings,
  foldTube,
  type PersonNow,
  type TubeItem,
  type TubeNow,
} from '@/core/tube'
import type { Pooling } from '@/core/rules/pooling'
import type { SliceRow, Swabbed } from '@/core/types'

const POOLING = (
  JSON.parse(readFileSync(new URL('../../contract/vectors/pools.json', import.meta.url), 'utf8')) as {
    pooling: Pooling
  }
).pooling
const TUBE = 'TDJ03A004179'
const OTHER = 'TDJ03A004187'

const row = (person: string, more: Partial<SliceRow> = {}): SliceRow => ({
  person,
  name: '演*禾',
  lastFour: '0002',
  birthYear: 1990,
  sex: 2,
  group: '',
  householdSealed: false,
  household: 'h1',
  area: '340602001001',
  building: '3',
  unit: '1',
  estate: '和平',
  ...more,
})

let seq = 0
const item = (kind: string, id: string, more: Partial<TubeItem> = {}): TubeItem => ({
  id,
  seq: ++seq,
  kind,
  at: seq * 1_000,
  tube: TUBE,
  body: null,
  note: null,
  about: null,
  ...more,
})
const taken = (id: string, person: string) =>
  item('testing.sample_taken', id, { body: { person, tube: TUBE }, note: { name: '演*禾', lastFour: '0002' } })

describe('who is in a tube', () => {
  it('follows from what was written, in whatever order it is read', () => {
    const items = [
      taken('a', 'p1'),
      taken('b', 'p2'),
      taken('c', 'p3'),
      item('journal.fact_withdrawn', 'w', { about: 'b', body: { target: 'b' } }),
      item('testing.sample_moved', 'm', {
        about: 'c',
        body: { to_tube: OTHER },
        note: { name: '演*禾', person: 'p3' },
      }),
      item('testing.tube_sealed', 's'),
    ]
    for (const order of [items, [...items].reverse()]) {
      const here = foldTube(TUBE, order)
      expect(here.people.map(({ sample, person }) => [sample, person])).toEqual([['a', 'p1']])
      expect(here.sealedAt).not.toBeNull()
      expect(foldTube(OTHER, order).people).toMatchObject([{ sample: 'c', person: 'p3', name: '演*禾' }])
    }
  })

  it('counts people whose names cannot be read now', () => {
    expect(foldTube(TUBE, [item('testing.sample_taken', 'x')]).people).toMatchObject([{ sample: 'x', name: '' }])
  })

  it('takes a seal back when it is withdrawn', () => {
    const items = [
      taken('a', 'p1'),
      item('testing.tube_sealed', 's'),
      item('journal.fact_withdrawn', 'w', { about: 's' }),
    ]
    expect(foldTube(TUBE, items).sealedAt).toBeNull()
  })
})

describe('what is said about a tube code', () => {
  const pattern = '[0-9A-Z]{12}'
  it.each([
    [TUBE, false, []],
    [` ${TUBE.toLowerCase()}\n`, false, []],
    ['690123456789', false, []],
    ['TDJ03A004170', false, ['code_suspect']],
    ['XDJ03A000079', true, ['wrong_kind']],
    ['69012345678', true, ['code_invalid']],
  ])('%j', (text, ask, codes) => {
    const found = readTubeCode(text, pattern)
    expect([found.ask, found.warnings.map(({ code }) => code)]).toEqual([ask, codes])
  })

  it('throws only for what no fact could carry', () => {
    expect(() => readTubeCode('', pattern)).toThrow('codes.empty')
    expect(() => readTubeCode('试管', pattern)).toThrow('codes.characters')
  })

  it('says who used it before', () => {
    const none = foldTube(TUBE, [])
    const hint = { id: '1', person: 'p', tube: TUBE, round: 1, site: 2, device: 'other', at: 5, own: false }
    expect(usedWarnings(none, [hint], 'me')).toMatchObject([{ code: 'tube_used', values: { people: 1 } }])
    expect(usedWarnings(none, [{ ...hint, device: 'me', own: true }], 'me')).toEqual([])
    expect(usedWarnings(foldTube(TUBE, [taken('a', 'p1'), item('testing.tube_sealed', 's')]), [], 'me')).toMatchObject([
      { code: 'tube_used_here' },
    ])
  })
})

describe('what is said about a person', () => {
  const tubeOf = (...rows: SliceRow[]): TubeNow => ({
    code: TUBE,
    people: rows.map(({ person }) => ({
      sample: `s-${person}`,
      person,
      name: '',
      lastFour: '',
      at: 1,
      single: false,
      warnings: [],
    })),
    members: rows.map((one) => memberOf(one.person, one)),
    size: 10,
    single: false,
    pooling: POOLING,
  })
  const someone = (who: Swabbed, more: Partial<PersonNow> = {}): PersonNow => {
    const found = 'row' in who ? who.row : null
    const person = found?.person ?? ('person' in who ? who.person : null)
    return {
      person,
      member: memberOf(person ?? 'new', found),
      sampled: null,
      who,
      sliceSize: 100,
      at: 1_700_000_000_000,
      last: null,
      ...more,
    }
  }
  const codes = (tube: TubeNow, one: PersonNow) => personWarnings(tube, one).map(({ code }) => code)
  const p = (n: number, more: Partial<SliceRow> = {}) => row(`p${n}`, more)

  it('nothing about somebody who may be there', () => {
    expect(codes(tubeOf(p(1)), someone({ row: p(2) }))).toEqual([])
  })

  it('the same person within five seconds, in this tube, and in this round', () => {
    const at = 1_700_000_000_000
    expect(codes(tubeOf(p(1)), someone({ row: p(1) }, { last: { person: 'p1', at: at - 2_000 } }))).toEqual([
      'same_person_again',
    ])
    expect(codes(tubeOf(p(1)), someone({ row: p(1) }, { last: { person: 'p1', at: at - 60_000 } }))).toEqual([
      'in_tube_already',
    ])
    const sampled = { id: '1', person: 'p2', tube: OTHER, round: 1, site: 1, device: 'x', at: 5, own: false }
    expect(personWarnings(tubeOf(p(1)), someone({ row: p(2) }, { sampled }))).toEqual([
      { code: 'already_sampled', values: { tube: OTHER, at: 5 } },
    ])
  })

  it('somebody who needs a tube of their own', () => {
    expect(codes(tubeOf(p(1)), someone({ row: p(2, { group: 'close_contact' }) }))).toContain('key_group_pooled')
    expect(codes(tubeOf(p(1, { group: 'close_contact' })), someone({ row: p(2) }))).toContain('key_group_pooled')
    expect(codes(tubeOf(), someone({ row: p(2, { group: 'close_contact' }) }))).toEqual([])
  })

  it('another household beside a sealed one', () => {
    const sealed = { householdSealed: true }
    expect(codes(tubeOf(p(1, sealed)), someone({ row: p(2, { ...sealed, household: 'h2' }) }))).toContain(
      'mixed_households',
    )
    expect(codes(tubeOf(p(1, sealed)), someone({ row: p(2, sealed) }))).toEqual([])
  })

  it('one too many', () => {
    const ten = Array.from({ length: 10 }, (_, n) => p(n))
    expect(codes(tubeOf(...ten), someone({ row: p(11) }))).toEqual(['over_full'])
    expect(codes({ ...tubeOf(p(1)), single: true }, someone({ row: p(2) }))).toEqual(['over_full'])
  })

  it('a number that does not check, a code that the slice does not know', () => {
    expect(codes(tubeOf(), someone({ unknown: { name: '演佳禾', number: '340602190001010003' } }))).toEqual([
      'number_doubtful',
    ])
    expect(codes(tubeOf(), someone({ unknown: { name: '演佳禾', number: '340602000101001' } }))).toEqual([])
    expect(codes(tubeOf(), someone({ unknown: { name: '演佳禾' } }))).toEqual([])
    expect(codes(tubeOf(), someone({ person: 'p99' }))).toEqual(['outside_slice'])
  })

  it('only what is new with this person', () => {
    const tube = tubeOf(p(1, { group: 'close_contact' }), p(2))
    expect(codes(tube, someone({ row: p(3) }))).toEqual([])
    expect(poolWarnings(POOLING, tube.members, 10).map(({ code }) => code)).toContain('key_group_pooled')
  })

  it('how many there may be', () => {
    const members = (...rows: SliceRow[]) => rows.map((one) => memberOf(one.person, one))
    expect(limitOf(POOLING, members(p(1)), 10, false)).toBe(10)
    expect(limitOf(POOLING, members(p(1, { group: 'close_contact' })), 10, false)).toBe(1)
    expect(limitOf(POOLING, members(p(1)), 10, true)).toBe(1)
    expect(limitOf(null, [], 20, false)).toBe(20)
  })
})
