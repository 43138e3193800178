import { afterEach, expect, test } from 'vitest'
import { effectScope, type EffectScope } from 'vue'
import { forgetDrafts, useDraft, type Draft } from '@/screens/parts/draft'
import { shown } from '@/state/phone'

interface Bag {
  tubes: string[]
  code: string
}
const nothing = (): Bag => ({ tubes: [], code: '' })
const phoneOf = (id: string): void => {
  shown.device.value = { id, name: '', district: 1, operation: 1, pairedAt: 0 }
}
let scopes: EffectScope[] = []
async function open(): Promise<Draft<Bag>> {
  const scope = effectScope()
  scopes.push(scope)
  const draft = scope.run(() => useDraft('bag', nothing)) as Draft<Bag>
  await expect.poll(() => draft.ready.value).toBe(true)
  return draft
}
const settle = (): Promise<void> => new Promise((done) => setTimeout(done, 50))

afterEach(async () => {
  for (const scope of scopes) scope.stop()
  scopes = []
  shown.lost.value = false
  await forgetDrafts()
})

test('what was scanned is there again after the screen was killed', async () => {
  phoneOf('one')
  const first = await open()
  first.value.value.tubes.push('T1')
  first.value.value.tubes.push('T2')
  await settle()
  scopes.pop()?.stop()
  expect((await open()).value.value).toEqual({ tubes: ['T1', 'T2'], code: '' })
})

test('begins anew for another pairing, when cleared, and on a phone that was lost', async () => {
  phoneOf('one')
  const first = await open()
  first.value.value.code = 'D1'
  await settle()
  phoneOf('two')
  expect((await open()).value.value).toEqual(nothing())
  phoneOf('one')
  shown.lost.value = true
  await settle()
  shown.lost.value = false
  expect((await open()).value.value).toEqual(nothing())
})
