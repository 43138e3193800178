import { expect, test } from 'vitest'
import { placesFor } from '@/screens/parts/work'

test('the first place of work is what the role is for', () => {
  expect(placesFor(['registrar'], 'sampling_point')[0]).toBe('sample')
  expect(placesFor(['packer'], 'sampling_point')).toEqual(['pack', 'carry'])
  expect(placesFor(['courier'], null)).toEqual(['carry'])
  expect(placesFor(['lab_technician'], 'laboratory')[0]).toBe('receive')
  expect(placesFor(['grid_worker'], null)[0]).toBe('door')
})

test('a laboratory has no queue, and a role of the office has nothing in the field', () => {
  expect(placesFor(['registrar', 'lab_technician'], 'laboratory')).not.toContain('sample')
  expect(placesFor(['auditor'], 'sampling_point')).toEqual([])
})

test('somebody signed on without the server has what the place has', () => {
  expect(placesFor([], 'sampling_point')).toContain('sample')
  expect(placesFor([], 'sampling_point')).not.toContain('receive')
})
