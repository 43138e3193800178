import { expect, test } from 'vitest'
import { makeCodes } from '@/core/rules/codes'
import type { OutboxItem } from '@/core/types'
import { BAG_SIZE, baggedTubes, difference, scanForBag, waitingTubes, type Bag } from '@/screens/pack/packing'

const tubes = makeCodes('tube', 'DJ', '03A', 1, 30)
const [bagCode = ''] = makeCodes('bag', 'DJ', '03A', 1, 1)
const [boxCode = ''] = makeCodes('box', 'DJ', '03A', 1, 1)
const tube = (n: number): string => tubes[n] ?? ''
const bag = (n: number): Bag => ({ code: '', tubes: tubes.slice(0, n) })
const row = (more: Partial<OutboxItem>): OutboxItem => ({
  id: '0', seq: 1, kind: 'testing.tubes_bagged', at: 0, state: 'accepted', code: null, field: null, flags: [], cases: [],
  tube: null, body: null, note: null, ...more,
})

test('the twentieth tube fills the bag and the next one is turned away', () => {
  expect(scanForBag(tube(0), bag(0), new Map())).toEqual({ what: 'tube', code: tube(0), full: false })
  expect(scanForBag(tube(19), bag(BAG_SIZE - 1), new Map())).toMatchObject({ what: 'tube', full: true })
  expect(scanForBag(tube(20), bag(BAG_SIZE), new Map())).toMatchObject({ what: 'full' })
})

test('tells a bag, a box, a tube scanned twice and one that lies in another bag', () => {
  expect(scanForBag(` ${bagCode.toLowerCase()}\n`, bag(1), new Map())).toEqual({ what: 'bag', code: bagCode })
  expect(scanForBag(boxCode, bag(1), new Map())).toMatchObject({ what: 'box' })
  expect(scanForBag(tube(0), bag(1), new Map())).toMatchObject({ what: 'again' })
  expect(scanForBag(tube(5), bag(1), new Map([[tube(5), bagCode]]))).toMatchObject({ what: 'bagged', where: bagCode })
  expect(scanForBag('https://elsewhere', bag(1), new Map())).toMatchObject({ what: 'unreadable' })
})

test('a withdrawn or refused bag is no bag', () => {
  const body = { site: 1, bag: bagCode, tubes: [tube(0)], rack: 1 }
  expect(baggedTubes([row({ body })]).get(tube(0))).toBe(bagCode)
  expect(baggedTubes([row({ body, state: 'refused' })]).size).toBe(0)
  expect(baggedTubes([row({ body, id: 'a' }), row({ kind: 'journal.fact_withdrawn', body: { target: 'a' } })]).size).toBe(0)
})

test('the system count is what is known, not bagged and not voided, and names what differs', () => {
  const known = { sealed: new Set([tube(0), tube(1)]), heard: new Set([tube(1), tube(2), tube(3)]) }
  const waiting = waitingTubes(known, new Map([[tube(3), bagCode]]), new Set([tube(2)]))
  expect(waiting).toEqual([tube(0), tube(1)])
  expect(difference(3, waiting, [tube(0), tube(9)])).toEqual({ by: 1, missing: [tube(1)], strange: [tube(9)] })
})
