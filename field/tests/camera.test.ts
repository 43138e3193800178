import { describe, expect, it } from 'vitest'
import { Sight, troubleOf } from '@/ui/camera'

describe('the camera', () => {
  it('tells a code that stays in view once, and again when it comes back', () => {
    const sight = new Sight()
    expect(sight.fresh('A', 0)).toBe(true)
    for (let at = 100; at <= 5000; at += 100) expect(sight.fresh('A', at)).toBe(false)
    expect(sight.fresh('B', 5100)).toBe(true)
    expect(sight.fresh('A', 5200)).toBe(false)
    expect(sight.fresh('A', 6800)).toBe(true)
  })

  it('puts a failure in a word', () => {
    expect(troubleOf(new DOMException('', 'NotAllowedError'))).toBe('denied')
    expect(troubleOf(new DOMException('', 'NotFoundError'))).toBe('none')
    expect(troubleOf(new DOMException('', 'NotReadableError'))).toBe('busy')
    expect(troubleOf(new Error('x'))).toBe('busy')
  })
})
