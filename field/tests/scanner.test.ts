import { describe, expect, it } from 'vitest'
import { Burst, characterOf } from '@/ui/scanner'

/** Types `text` with `gap` ms between characters and Enter after it. */
function type(burst: Burst, text: string, gap: number, from = 1000): { read: string | null; end: number } {
  let at = from
  for (const character of text) {
    burst.put(character, at)
    at += gap
  }
  return { read: burst.end(at), end: at }
}

describe('a hand scanner', () => {
  it('is told from a person by its speed', () => {
    expect(type(new Burst(), 'TDJ03A004179', 8).read).toBe('TDJ03A004179')
    expect(type(new Burst(), '340602190001010002', 30).read).toBe('340602190001010002')
    expect(type(new Burst(), '340602190001010002', 75).read).toBeNull()
    expect(type(new Burst(), 'TDJ03A004179', 140).read).toBeNull()
  })

  it('may come right after something typed by hand', () => {
    const burst = new Burst()
    burst.put('3', 0)
    burst.put('4', 300)
    expect(type(burst, 'TDJ03A004179', 10, 900).read).toBe('TDJ03A004179')
  })

  it('may come twice in a row', () => {
    const burst = new Burst()
    const first = type(burst, 'TDJ03A004179', 5)
    expect(type(burst, 'TDJ03A004187', 5, first.end + 5).read).toBe('TDJ03A004187')
  })

  it('needs no Enter if it is long and then silent', () => {
    const burst = new Burst()
    let at = 0
    for (const character of '340602190001010002') burst.put(character, (at += 6))
    expect(burst.silent(at + 40)).toBeNull()
    expect(burst.silent(at + 130)).toBe('340602190001010002')
    expect(burst.end(at + 140)).toBeNull()
  })

  it('is not Enter pressed on a form', () => {
    expect(new Burst().end(100)).toBeNull()
    expect(type(new Burst(), 'ab', 5).read).toBeNull()
  })

  it('is read through an input method', () => {
    const key = (code: string) => ({ key: 'Process', code, shiftKey: false })
    expect(['KeyT', 'KeyD', 'Digit3', 'Numpad9', 'Minus'].map((code) => characterOf(key(code))).join('')).toBe('TD39-')
    expect(characterOf({ key: 'Shift', code: 'ShiftLeft', shiftKey: true })).toBeNull()
  })
})
