import { expect, test } from 'vitest'
import type { FormKind } from '@/core/types'
import { begin, bodyOf, questions, trouble } from '@/screens/form/schema'

const word = (text: string) => ({ zh: text, en: text })
const form: FormKind = {
  kind: 'testing.queue_counted', level: 1, title: word('queue'), schema: {
    $defs: { Kind: { enum: ['spray', 'wipe'], type: 'string' } },
    properties: {
      round: { type: 'integer', minimum: 1 },
      by: { type: 'string' },
      people: { type: 'integer', minimum: 0, maximum: 500 },
      degrees: { anyOf: [{ type: 'number', minimum: 30, maximum: 45 }, { type: 'null' }], default: null },
      how: { $ref: '#/components/schemas/Kind' },
      note: { type: 'string', maxLength: 5, pattern: '^[^\\x00-\\x1f]*$', default: '' },
      gloves: { type: 'boolean', default: false },
      at: { type: 'string', format: 'date-time' },
      tubes: { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: 2 },
      extra: { type: 'object' },
    },
    required: ['round', 'people', 'how', 'at', 'tubes'],
  },
  fields: {
    round: { label: word('Round'), fill: 'round' },
    by: { label: word('By'), fill: 'login' },
    how: { label: word('How'), options: { spray: word('Spray') } },
  },
}
const asked = questions(form)
const one = (name: string) => asked.find((each) => each.name === name)!
const context = { round: 7, login: 'li' }

test('every property becomes the right question', () => {
  expect(Object.fromEntries(asked.map(({ name, ask, required }) => [name, `${ask}${required ? '!' : ''}`]))).toEqual({
    round: 'number!', by: 'text', people: 'number!', degrees: 'number', how: 'choice!', note: 'text', gloves: 'boolean', at: 'time!', tubes: 'codes!', extra: 'unknown',
  })
  expect(one('how').options).toEqual([{ value: 'spray', label: word('Spray') }, { value: 'wipe', label: word('wipe') }])
  expect(one('degrees')).toMatchObject({ min: 30, max: 45, whole: false })
  expect(begin(asked)).toMatchObject({ people: '', gloves: 'false', tubes: [], note: '' })
})

test('says what is wrong with an answer', () => {
  expect(trouble(one('people'), '', context)).toEqual({ code: 'missing' })
  expect(trouble(one('people'), '501', context)).toEqual({ code: 'max', limit: 500 })
  expect(trouble(one('people'), '1.5', context)).toEqual({ code: 'whole' })
  expect(trouble(one('people'), 'x', context)).toEqual({ code: 'number' })
  expect(trouble(one('degrees'), '', context)).toBeNull()
  expect(trouble(one('degrees'), '29.9', context)).toEqual({ code: 'min', limit: 30 })
  expect(trouble(one('note'), '六个字的备注', context)).toEqual({ code: 'long', limit: 5 })
  expect(trouble(one('tubes'), [], context)).toEqual({ code: 'few', limit: 1 })
  expect(trouble(one('tubes'), ['A', 'B', 'C'], context)).toEqual({ code: 'many', limit: 2 })
  expect(trouble(one('at'), 'noon', context)).toEqual({ code: 'time' })
  expect(trouble(one('round'), '', { round: null })).toEqual({ code: 'choose' })
})

test('the body has what was answered in its own type, and what the phone knows', () => {
  const answers = { ...begin(asked), people: ' 12 ', how: 'spray', at: '2022-03-13T00:05:00Z', tubes: ['T1'], note: '' }
  expect(bodyOf(asked, answers, context)).toEqual({
    round: 7, by: 'li', people: 12, how: 'spray', gloves: false, at: '2022-03-13T00:05:00.000Z', tubes: ['T1'],
  })
})
