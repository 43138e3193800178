import { describe, expect, it } from 'vitest'
import { makeCodes, residentCode } from '@/core/rules/codes'
import { grouped, judgeNumber } from '@/screens/sample/number'
import { loudest, understand } from '@/screens/sample/sampling'
import { tubeLines } from '@/screens/sample/tubes'
import type { OutboxItem } from '@/state'
import zh from '@/sound/voice.zh.json'
import en from '@/sound/voice.en.json'

const [TUBE = '', NEXT = ''] = makeCodes('tube', 'DJ', '03A', 417, 2)
const [BOX = ''] = makeCodes('box', 'DJ', '03A', 7, 1)
const PERSON = '0190a000-0000-7000-8000-000000000001'
const NUMBER = '340602190001010002'

describe('a scan at the table', () => {
  it('is a tube, a box, a person or a number by its own form', () => {
    expect(understand(TUBE, null, true)).toEqual({ is: 'tube', code: TUBE })
    expect(understand(` ${TUBE.toLowerCase()}\r`, null, true)).toEqual({ is: 'tube', code: TUBE })
    expect(understand(BOX, null, true)).toEqual({ is: 'other', kind: 'box', code: BOX })
    expect(understand(residentCode(PERSON), null, true)).toEqual({ is: 'person', who: { person: PERSON } })
    expect(understand('34060219000101007x', null, true)).toEqual({ is: 'number', number: '34060219000101007X' })
    expect(understand('E12345678', null, true)).toEqual({ is: 'number', number: 'E12345678' })
  })

  it("is a tube by the round's pattern, though never a citizen's number", () => {
    expect(understand('690123456789', '[0-9]{12}', true)).toEqual({ is: 'tube', code: '690123456789' })
    expect(understand(NUMBER, '[0-9]{18}', true)).toEqual({ is: 'number', number: NUMBER })
  })

  it('is taken for a tube while none is open, so that somebody is asked to look', () => {
    expect(understand('HELLO-1', null, false)).toEqual({ is: 'tube', code: 'HELLO-1' })
    expect(understand('你好', null, true)).toEqual({ is: 'unknown', text: '你好' })
  })

  it("knows a resident's code that was misread", () => {
    const good = residentCode(PERSON)
    const last = good.at(-1) === '0' ? '1' : '0'
    expect(understand(good.slice(0, -1) + last, null, true)).toEqual({ is: 'broken' })
  })

  it('speaks of the gravest thing and keeps quiet about none', () => {
    const one = (code: 'outside_slice' | 'already_sampled' | 'rules_mixed') => ({ code, values: {} })
    expect(loudest([one('outside_slice')])).toBeNull()
    expect(loudest([one('rules_mixed'), one('outside_slice'), one('already_sampled')])?.code).toBe('already_sampled')
  })
})

describe('a number that is typed', () => {
  const judge = (text: string, kind = '') => judgeNumber(text, kind, '2024-03-13').verdict
  it('is judged as soon as it can be', () => {
    expect(judge('')).toBe('empty')
    expect(judge('34060219')).toBe('typing')
    expect(judge('34060219000101000')).toBe('typing')
    expect(judge(NUMBER)).toBe('good')
    expect(judge('340602190001010003')).toBe('wrong')
    expect(judge('340602000101001')).toBe('unsure')
    expect(judge('E12345678')).toBe('good')
    expect(judge('12345678', '07')).toBe('good')
  })

  it('is shown in the groups of the card', () => {
    expect(grouped(NUMBER)).toBe('340602 19000101 0002')
    expect(grouped('E12345678')).toBe('E12345678')
  })
})

let seq = 0
function item(kind: string, body: Record<string, unknown>, more: Partial<OutboxItem> = {}): OutboxItem {
  seq += 1
  const tube = typeof body['tube'] === 'string' ? body['tube'] : null
  const at = 1_000_000 + seq * 1000
  const id = `id-${seq}`
  return {
    id,
    seq,
    kind,
    at,
    state: 'accepted',
    code: null,
    field: null,
    flags: [],
    cases: [],
    tube,
    body,
    note: null,
    ...more,
  }
}

describe('the tubes of a shift', () => {
  it('stand with who is in them now, and how far they have come', () => {
    const first = item('testing.sample_taken', { tube: TUBE, person: 'a' })
    const second = item('testing.sample_taken', { tube: TUBE, person: 'b' })
    const third = item('testing.sample_taken', { tube: TUBE, person: 'c' }, { state: 'pending' })
    const items = [
      first,
      second,
      third,
      item('journal.fact_withdrawn', { target: second.id, reason: 'x' }, { tube: TUBE }),
      item('testing.sample_moved', { sample: third.id, to_tube: NEXT, reason: 'x' }, { tube: TUBE }),
      item('testing.tube_sealed', { tube: TUBE, people: 1 }),
      item('testing.late_entry', { tube: TUBE, person: 'd' }),
    ]
    const lines = tubeLines(items, null)
    const [left, sealed] = [lines.find(({ code }) => code === NEXT), lines.find(({ code }) => code === TUBE)]
    expect(sealed).toMatchObject({ stage: 'sealed', late: 1, counted: null, pending: 1, refused: 0 })
    expect(sealed?.people.map(({ person }) => person)).toEqual(['a', 'd'])
    expect(left).toMatchObject({ stage: 'left' })
    expect(left?.people).toHaveLength(1)
    expect(tubeLines(items, NEXT)[0]).toMatchObject({ code: NEXT, stage: 'open' })
  })

  it('leave out what cannot be read here, and say what was refused or flagged', () => {
    const dark = { ...item('testing.sample_taken', { tube: TUBE, person: 'a' }), body: null }
    expect(tubeLines([dark], null)).toEqual([])
    const items = [
      item('testing.sample_taken', { tube: TUBE, person: 'a' }, { state: 'refused', code: 'x.y' }),
      item('testing.sample_taken', { tube: TUBE, person: 'b' }, { flags: ['2'] }),
      item('testing.tube_voided', { tube: TUBE, reason: 'x' }),
    ]
    expect(tubeLines(items, null)[0]).toMatchObject({ stage: 'voided', refused: 1, flagged: 1 })
  })
})

describe('the spoken prompts', () => {
  it('are the same in both languages, numbers from 1 to 20 among them', () => {
    expect(Object.keys(en)).toEqual(Object.keys(zh))
    for (let n = 1; n <= 20; n += 1) expect(zh).toHaveProperty(`n${n}`)
  })

  it('follow one another without touching', () => {
    for (const table of [zh, en]) {
      const clips = Object.values(table)
      clips.forEach(([start = 0, length = 0], n) => {
        expect(length).toBeGreaterThan(0.1)
        const next = clips[n + 1]?.[0]
        if (next !== undefined) expect(start + length).toBeLessThan(next)
      })
    }
  })
})
