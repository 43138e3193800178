import { beforeAll, describe, expect, it } from 'vitest'
import { FieldDb } from '@/core/db'
import * as crypto from '@/core/crypto'
import { Slice } from '@/core/slice'
import type { Keys } from '@/core/vault'
import { kill, signedOn, switchOn } from './phones'
import { FakeServer, PIN, SECRET, tokenOf } from './server'

const SURNAMES = '赵钱孙李周吴郑王冯陈'
type Raw = Parameters<Slice['fill']>[0][number]

const row = (n: number, token = `t${n}`): Raw => [
  `018f0000-0000-7000-8000-${String(n).padStart(12, '0')}`,
  [token],
  `${SURNAMES[n % 10]}*${n % 3 ? '明' : ''}`,
  String(n % 10_000).padStart(4, '0'),
  1950 + (n % 70),
  1 + (n % 2),
  '',
  0,
  (n >> 2).toString(16).padStart(8, '0'),
  '340602001001',
  `${n % 30}号楼`,
  `${n % 4}单元`,
  '和平小区',
]

/** The best of a few runs: what the machine can do when nobody else uses it. */
async function fastest(times: number, work: () => unknown): Promise<number> {
  let best = Infinity
  for (let time = 0; time < times; time += 1) {
    const before = performance.now()
    await work()
    best = Math.min(best, performance.now() - before)
  }
  return best
}

describe('20,000 people', () => {
  const slice = new Slice(new FieldDb('slice-only'))
  beforeAll(async () => {
    const lookup = await crypto.hmacKey(await crypto.deviceKey(SECRET, 'lookup'))
    await slice.unlock({ lookup, worker: { offline: true } } as Keys)
    slice.fill([...Array.from({ length: 19_999 }, (_, n) => row(n)), row(19_999, await tokenOf('340602190001010002'))])
  })

  it('are searched in at most 100 ms', async () => {
    for (const text of ['0417', '赵', '和平小区 17号楼', '王小明', 'nobody at all']) {
      expect(await fastest(5, () => slice.search(text))).toBeLessThan(100)
    }
  })

  it('are found by number in at most 5 ms, however it was typed', async () => {
    const person = row(19_999)[0]
    for (const typed of ['340602190001010002', ' 340602 19000101 0002', '３４０６０２１９０００１０１０００２']) {
      expect((await slice.find(typed))?.person).toBe(person)
    }
    expect(await fastest(5, () => slice.find('340602190001010002'))).toBeLessThan(5)
    expect(await slice.find('340602190001010010')).toBeNull()
    expect(await slice.find('')).toBeNull()
  })

  it('are searched by last four, by a whole name behind its mask, by building', () => {
    expect(slice.search('0417')[0]?.lastFour).toBe('0417')
    expect(new Set(slice.search('王小明', 200).map(({ name }) => name))).toEqual(new Set(['王*明']))
    const found = slice.search('17号楼 1单元 王', 20)
    expect(found.length).toBeGreaterThan(0)
    expect(
      found.every(({ building, unit, name }) => building === '17号楼' && unit === '1单元' && name.startsWith('王')),
    ).toBe(true)
    expect(slice.search('   ')).toEqual([])
  })

  it('are gone when the phone is locked', async () => {
    const other = new Slice(new FieldDb('slice-other'))
    other.fill([row(1)])
    other.lock()
    expect(other.size).toBe(0)
    expect(other.search('0001')).toEqual([])
    expect(await other.find('340602190001010002')).toBeNull()
  })
})

describe('downloading', () => {
  const withRows = (n: number, perBlock = 10): FakeServer => {
    const server = new FakeServer()
    server.slices = { version: 'v1', rows: Array.from({ length: n }, (_, place) => [...row(place)]), perBlock }
    return server
  }

  it('brings the people, keeps them encrypted, and shows them after a PIN', async () => {
    const server = withRows(35)
    const phone = await signedOn(server)
    await phone.sync.cycle()
    expect(await phone.db.slice.count()).toBe(4)
    const blocks = await phone.db.slice.toArray()
    expect(blocks.map(({ data }) => new TextDecoder().decode(data)).join('')).not.toContain('和平')
    server.offline = true
    const again = await switchOn(server, kill(phone))
    expect(again.slice.size).toBe(0)
    await again.unlock('nurse', PIN, false)
    expect(again.slice.size).toBe(35)
    expect(again.slice.byId(row(7)[0])).toMatchObject({ building: '7号楼', householdSealed: false })
    again.sync.stop()
  })

  it('goes on where it was cut off', async () => {
    const server = withRows(50)
    server.failSliceAfter = 3
    const phone = await signedOn(server)
    await phone.sync.cycle()
    expect(await phone.db.read('sliceNext')).toMatchObject({ version: 'v1', after: '3' })
    server.failSliceAfter = Infinity
    server.requests.length = 0
    const again = await switchOn(server, kill(phone))
    await again.sync.cycle()
    expect(server.requests.filter(({ path }) => path === '/slice')).toHaveLength(2)
    await again.unlock('nurse', PIN, false)
    expect(again.slice.size).toBe(50)
    again.sync.stop()
  })

  it('fetches a new version, not the same one again, and forgets the old', async () => {
    const server = withRows(25)
    const phone = await signedOn(server)
    await phone.sync.cycle()
    server.requests.length = 0
    await phone.sync.cycle()
    expect(server.requests.filter(({ path }) => path === '/slice')).toHaveLength(0)
    server.slices = { ...server.slices, version: 'v2', rows: server.slices.rows.slice(0, 5) }
    phone.sync.kick()
    await phone.sync.cycle()
    expect((await phone.db.slice.toArray()).map(({ version }) => version)).toEqual(['v2'])
    await expect.poll(() => phone.slice.size).toBe(5)
    phone.sync.stop()
  })
})
