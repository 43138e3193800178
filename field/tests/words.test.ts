import { describe, expect, it } from 'vitest'
import { catalogues } from '@/words'

const places = (text: string): string[] =>
  [...new Set([...text.matchAll(/\{(\w+)(?:\|[^}]*)?\}/g)].map((one) => one[1] ?? ''))].sort()

describe('words', () => {
  it('say the same things in both languages', () => {
    expect(Object.keys(catalogues.en).sort()).toEqual(Object.keys(catalogues.zh).sort())
  })

  it('leave no sentence empty', () => {
    for (const words of Object.values(catalogues)) {
      for (const [key, text] of Object.entries(words)) expect(text.trim(), key).not.toBe('')
    }
  })

  it('ask for the same values in both languages', () => {
    const en: Record<string, string> = catalogues.en
    for (const [key, text] of Object.entries(catalogues.zh)) expect(places(en[key] ?? ''), key).toEqual(places(text))
  })
})
