import { expect, test } from 'vitest'
import { checkCharacter } from '@/core/rules/codes'
import { judge, readTyped } from '@/screens/parts/pairing'

const body = 'K7M2QX94'
const good = body + checkCharacter(body)

test('reads a code as printed, as typed and out of the address of a QR', () => {
  expect(readTyped('k7m-2qx-94')).toEqual({ code: 'K7M2QX94', strange: '' })
  expect(readTyped(' K7M 2QX 94 ').code).toBe('K7M2QX94')
  expect(readTyped('https://dabai.example/field/#/pair?code=K7M-2QX-94').code).toBe('K7M2QX94')
})

test('names the characters that no code has', () => {
  expect(readTyped('K0M-O1')).toEqual({ code: 'KM', strange: '0 O 1' })
})

test('tells a slip of the finger before anything is sent', () => {
  expect(judge(body)).toBe('short')
  expect(judge(good)).toBe('good')
  const slipped = (good[0] === 'K' ? 'J' : 'K') + good.slice(1)
  expect(judge(slipped)).toBe('mistyped')
})
