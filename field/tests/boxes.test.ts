import { expect, test } from 'vitest'
import type { OutboxItem } from '@/core/types'
import { boxLines } from '@/screens/carry/boxes'

let seq = 0
const row = (kind: string, body: Record<string, unknown>, more: Partial<OutboxItem> = {}): OutboxItem => ({
  id: `f${++seq}`, seq, kind, at: seq, state: 'accepted', code: null, field: null, flags: [], cases: [], tube: null, body, note: null, ...more,
})

test('a box is where its last fact put it, with the count that was made last', () => {
  const packed = row('testing.box_packed', { box: 'X1', bags: ['D1'], tubes: [] })
  const sealed = row('testing.box_sealed', { box: 'X1', tubes: 40, seal: 'S' })
  const handed = row('testing.box_handed_over', { box: 'X1', tubes: 39, given_by: 'packer', taken_by: 'courier' })
  expect(boxLines([packed])).toMatchObject([{ code: 'X1', state: 'packed', tubes: null }])
  expect(boxLines([sealed, packed])).toMatchObject([{ state: 'sealed', tubes: 40 }])
  expect(boxLines([handed, sealed, packed])).toMatchObject([{ state: 'handed_over', tubes: 39, taken_by: 'courier' }])
})

test('what was withdrawn or refused did not happen', () => {
  const sealed = row('testing.box_sealed', { box: 'X1', tubes: 40, seal: 'S' })
  const handed = row('testing.box_handed_over', { box: 'X1', tubes: 40 })
  const taken = row('journal.fact_withdrawn', { target: handed.id, reason: 'r' })
  expect(boxLines([sealed, handed, taken])).toMatchObject([{ state: 'sealed' }])
  expect(boxLines([sealed, { ...handed, state: 'refused' }])).toMatchObject([{ state: 'sealed' }])
})
