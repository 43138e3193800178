import { expect, test } from 'vitest'
import { byBuilding, fits, matches, nextVisits, notSampled } from '@/screens/door/list'
import type { DueLine } from '@/state'

const line = (more: Partial<DueLine>): DueLine => ({
  kind: 'testing.home_sampling', person: 'p', round: 3, area: '340602001001', building: '3栋', unit: '2单元', estate: '和平小区', tags: [],
  deadline: null, attempts: 0, last_outcome: null, next_visit: null, owner: null, row: null, doneHere: null, ...more,
}) as DueLine

test('doors are grouped by estate and building, in their order, with what is done', () => {
  const groups = byBuilding([line({}), line({ unit: '3单元', doneHere: 'absent' }), line({ building: '4栋' })])
  expect(groups.map(({ name, lines, done }) => [name, lines.length, done])).toEqual([
    ['和平小区 3栋', 2, 1],
    ['和平小区 4栋', 1, 0],
  ])
})

test('filters by tag and by what somebody at a door knows', () => {
  expect(fits(line({ tags: ['elderly'] }), 'elderly')).toBe(true)
  expect(fits(line({ tags: ['elderly'] }), 'again')).toBe(false)
  expect(matches(line({}), '和平 3栋')).toBe(true)
  expect(matches(line({}), '和平 5栋')).toBe(false)
})

test('a visit without a swab says why and when somebody comes again', () => {
  const at = Date.UTC(2022, 2, 13, 11)
  expect(notSampled(line({}), 3, 'absent', '家中无人', at)).toEqual({
    round: 3, person: 'p', outcome: 'absent', reason: '家中无人', area: '340602001001', next_visit: '2022-03-13T11:00:00.000Z',
  })
  expect(notSampled(line({ area: '' }), 3, 'refused', 'r', null)).toMatchObject({ area: null, next_visit: null })
})

test('offers only times that are still to come', () => {
  const late = new Date(2022, 2, 13, 18, 55).getTime()
  expect(nextVisits(late).map((one) => one.key)).toEqual(['soon', 'morning', 'next_evening'])
})
