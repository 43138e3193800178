import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { effectScope } from 'vue'
import type { Phone } from '@/core/phone'
import { gate } from '@/router'
import { useSampling } from '@/screens/sample/sampling'
import { useDue, useOutbox, useSession, useSlice, useSync, useTube, useUpdate } from '@/state'
import { boot, shutDown } from '@/state/phone'
import { readSettings, DEFAULTS } from '@/state/useSettings'
import { freshName, kill, switchOn } from './phones'
import { FakeServer, PIN, tokenOf } from './server'

// Nobody hears a test.
vi.mock('@/sound', () => ({ signal: () => undefined, numberClip: () => [] }))

const { pooling } = JSON.parse(readFileSync(new URL('../../contract/vectors/pools.json', import.meta.url), 'utf8')) as {
  pooling: unknown
}
const TUBE = 'TDJ03A004179'
const NEXT = 'TDJ03A004187'

let server: FakeServer
let phone: Phone
let now: number

async function atWork(): Promise<void> {
  server = new FakeServer()
  now = Date.now()
  server.now = () => now
  server.reference = {
    rounds: [
      { id: 1, number: 1, state: 'closed', pool_size: 10, codes: { tube_pattern: null }, pooling },
      { id: 2, number: 2, state: 'running', pool_size: 5, codes: { tube_pattern: null }, pooling, open_minutes: 60 },
    ],
    sites: [
      { id: 7, kind: 'sampling_point', name: '高岳小学', area: '340602001001', stations: [{ number: 1, name: '' }] },
      { id: 9, kind: 'laboratory', name: '市疾控', area: '340602' },
    ],
  }
  const token = await tokenOf('340602190001010002')
  server.slices.rows = [['p-1', [token], '演*禾', '0002', 1990, 2, '', 0, 'h', '340602001001', '3', '1', '和平']]
  phone = await switchOn(server, freshName(), { now: () => now })
  await boot(phone)
  await useSession().pair('https://host/field/#/pair?code=ABCD', '一号机')
  await useSession().signOn('nurse', PIN)
  await phone.sync.run()
}

/** The same phone after a kill. */
async function again(): Promise<void> {
  shutDown()
  phone = await switchOn(server, kill(phone), { now: () => now })
  await boot(phone)
  await useSession().unlock('nurse', PIN)
}

beforeEach(atWork)
afterEach(() => shutDown())

const person = (n: number) => ({ person: `p-${100 + n}` })

describe('the session', () => {
  it('knows the running round, the only site, its only station', () => {
    const { round, site, station, device, worker } = useSession()
    expect([round.value?.id, site.value?.id, station.value]).toEqual([2, 7, 1])
    expect(device.value?.name).toBe('一号机')
    expect(worker.value?.displayName).toBe('演佳禾')
  })

  it('keeps what was chosen', async () => {
    await useSession().choose({ round: 1, station: 1 })
    await again()
    expect(useSession().round.value?.id).toBe(1)
  })

  it('shows the screens in order: pair, sign on, work', () => {
    expect(gate('sample', false, true, '/sample')).toEqual({ name: 'pair' })
    expect(gate('sample', true, true, '/sample')).toEqual({ name: 'sign-on', query: { next: '/sample' } })
    expect(gate('sample', true, false, '/sample')).toBe(true)
    expect(gate('pair', false, true, '/pair?code=X')).toBe(true)
  })

  it('forgets everything when the phone is reported lost', async () => {
    server.lost = true
    phone.sync.kick()
    await phone.sync.run()
    await expect.poll(() => useSession().device.value).toBeNull()
    expect(useSession().locked.value).toBe(true)
  })
})

describe('another tab', () => {
  it('that learns that the phone is lost closes this one too', async () => {
    const other = await switchOn(server, phone.db.name, { now: () => now })
    server.lost = true
    await other.sync.cycle()
    await expect.poll(() => useSession().locked.value).toBe(true)
    await expect.poll(() => useSession().device.value).toBeNull()
    other.db.close()
  })
})

describe('the tube', () => {
  it('fills, is sealed, and is sent', async () => {
    const tube = useTube()
    expect(await tube.open(TUBE)).toEqual({ opened: true, warnings: [] })
    const row = await useSlice().find('340602190001010002')
    if (!row) throw new Error('Nobody found')
    expect((await tube.add({ row })).person).toMatchObject({ name: '演*禾', lastFour: '0002' })
    const unknown = { name: '演佳苗', number: '34060219000101007X', kind: '' }
    expect((await tube.add({ unknown })).person).toMatchObject({ name: '演*苗', lastFour: '007X' })
    for (let n = 0; n < 3; n += 1) await tube.add(person(n))
    expect([tube.count.value, tube.limit.value, tube.full.value]).toEqual([5, 5, true])
    expect(tube.warnings.value.map(({ code }) => code)).toEqual(['full'])
    expect((await tube.add(person(9))).warnings.map(({ code }) => code)).toContain('over_full')
    await tube.seal()
    expect(tube.tube.value).toBeNull()
    await expect.poll(() => server.stored.size).toBe(8)
    const kinds = [...server.stored.values()].map(({ kind }) => kind)
    expect(kinds).toEqual([
      'testing.sample_taken',
      'people.person_registered',
      ...Array<string>(5).fill('testing.sample_taken'),
      'testing.tube_sealed',
    ])
    const [first, registered, second] = [...server.stored.values()]
    expect(first?.body).toEqual({ round: 2, site: 7, station: 1, tube: TUBE, person: 'p-1' })
    expect(registered?.body).toEqual({ site: 7, name: '演佳苗', document: { kind: '', number: '34060219000101007X' } })
    expect(second?.body['person']).toBe(registered?.id)
    expect([...server.stored.values()].at(-1)?.body).toMatchObject({ tube: TUBE, people: 6 })
  })

  it('is there again after a kill, with its people', async () => {
    const tube = useTube()
    await tube.open(TUBE)
    await tube.add(person(1))
    const { sample } = await tube.add(person(2))
    await tube.undo(sample)
    await tube.add({ unknown: { name: '演佳苗' } })
    await again()
    await expect.poll(() => tube.count.value).toBe(2)
    expect(tube.tube.value).toBe(TUBE)
    expect(tube.people.value.map(({ person: id, name }) => [id, name])).toEqual([
      ['p-101', ''],
      [expect.any(String), '演*苗'],
    ])
  })

  it('says what looks wrong and writes all the same', async () => {
    const tube = useTube()
    await tube.open(TUBE)
    await tube.add(person(1))
    now += 2_000
    expect((await tube.add(person(1))).warnings.map(({ code }) => code)).toEqual(['same_person_again', 'outside_slice'])
    expect(tube.count.value).toBe(2)
    await tube.undo()
    await tube.seal('人不够')
    await tube.open(NEXT)
    now += 60_000
    const { warnings } = await tube.add(person(1))
    expect(warnings[0]).toMatchObject({ code: 'already_sampled', values: { tube: TUBE } })
    const row = await phone.db.outbox.where('kind').equals('testing.sample_taken').last()
    expect(row && (await phone.outbox.item(row)).note?.warnings).toEqual(warnings)
  })

  it('forgets a sample that was undone', async () => {
    const tube = useTube()
    await tube.open(TUBE)
    await tube.add(person(1))
    expect(useSlice().sampledAt('p-101')).not.toBeNull()
    await tube.undo()
    expect(useSlice().sampledAt('p-101')).toBeNull()
    expect(tube.count.value).toBe(0)
    now += 10_000
    expect((await tube.add(person(1))).warnings.map(({ code }) => code)).toEqual(['outside_slice'])
  })

  it('asks before a box or a used tube is opened as a tube', async () => {
    const tube = useTube()
    expect(await tube.open('XDJ03A000079')).toMatchObject({ opened: false, warnings: [{ code: 'wrong_kind' }] })
    expect(tube.tube.value).toBeNull()
    expect(await tube.open('XDJ03A000079', { confirmed: true })).toMatchObject({ opened: true })
    await tube.putAway()
    await tube.open(TUBE)
    await tube.add(person(1))
    await tube.seal()
    expect(await tube.open(TUBE)).toMatchObject({ opened: false, warnings: [{ code: 'tube_used_here' }] })
  })

  it('goes on with a tube of its own that is not sealed', async () => {
    const tube = useTube()
    await tube.open(TUBE)
    await tube.add(person(1))
    await tube.open(NEXT)
    expect(tube.count.value).toBe(0)
    expect(await tube.open(TUBE)).toEqual({ opened: true, warnings: [] })
    expect(tube.count.value).toBe(1)
  })

  it('counts its minutes from the first swab', async () => {
    const tube = useTube()
    await tube.open(TUBE)
    now += 30 * 60_000
    await tube.add(person(1))
    now += 61 * 60_000
    phone.vault.touch()
    await tube.add(person(2))
    expect(tube.minutesOpen.value).toBe(61)
    expect(tube.warnings.value).toContainEqual({ code: 'open_too_long', values: { limit: 60, found: 61 } })
  })

  it('moves a sample to where it is', async () => {
    const tube = useTube()
    await tube.open(TUBE)
    const { sample } = await tube.add({ unknown: { name: '演佳苗' } })
    await tube.move(sample, NEXT, '放错管')
    expect(tube.count.value).toBe(0)
    await tube.open(NEXT)
    expect(tube.people.value).toMatchObject([{ sample, name: '演*苗' }])
  })

  it('is voided with a reason, and its people are due again', async () => {
    const tube = useTube()
    await tube.open(TUBE)
    await tube.add(person(1))
    await tube.void('打翻')
    expect(tube.tube.value).toBeNull()
    expect(useSlice().sampledAt('p-101')).toBeNull()
  })

  it('takes a late entry with a second person', async () => {
    await useTube().lateEntry(TUBE, person(4), '漏登', '演佳禾')
    await expect
      .poll(() => [...server.stored.values()].at(-1))
      .toMatchObject({
        kind: 'testing.late_entry',
        body: { tube: TUBE, person: 'p-104', reason: '漏登', second: '演佳禾', round: 2, site: 7, station: 1 },
      })
  })

  it('keeps a new version of the app waiting', async () => {
    const { canUpdate } = useUpdate()
    expect(canUpdate.value).toBe(true)
    await useTube().open(TUBE)
    expect(canUpdate.value).toBe(false)
  })
})

describe('the outbox', () => {
  it('says "all sent" only when the server has said so for each', async () => {
    const { allSent, pending, refused, rows, put } = useOutbox()
    await expect.poll(() => allSent.value).toBe(true)
    server.refuses.add('testing.queue_counted')
    server.offline = true
    await put('testing.queue_counted', { round: 2, site: 7, people: 40 })
    await expect.poll(() => pending.value).toBe(1)
    expect(allSent.value).toBe(false)
    server.offline = false
    phone.sync.kick()
    await phone.sync.run()
    await expect.poll(() => refused.value).toBe(1)
    expect(allSent.value).toBe(false)
    const scope = effectScope()
    const shown = scope.run(() => rows({ state: 'refused' }))
    await expect.poll(() => shown?.value).toMatchObject([{ code: 'journal.refused', body: { people: 40 } }])
    scope.stop()
    expect(useSync().online.value).toBe(true)
  })

  it('hides what the rows say while locked', async () => {
    const { rows, put } = useOutbox()
    await put('testing.queue_counted', { round: 2, site: 7, people: 40 })
    const scope = effectScope()
    const shown = scope.run(() => rows())
    await expect.poll(() => shown?.value[0]?.body).toMatchObject({ people: 40 })
    useSession().lock()
    await expect.poll(() => shown?.value[0]?.body).toBeNull()
    scope.stop()
  })
})

describe('the doors', () => {
  it('are in order, with names from the slice and what was done since', async () => {
    const line = (id: string, building: string) => ({
      kind: 'testing.home_sampling',
      person: id,
      area: '1',
      estate: '和平',
      building,
      unit: '1',
      tags: [],
    })
    server.due = { items: [line('p-2', '12号楼'), line('p-1', '3号楼')], as_of: new Date(now - 1_000).toISOString() }
    const { items, refresh } = useDue()
    await refresh()
    expect(items.value.map(({ building, row }) => [building, row?.name ?? null])).toEqual([
      ['3号楼', '演*禾'],
      ['12号楼', null],
    ])
    await useOutbox().put('testing.not_sampled', { round: 2, person: 'p-2', outcome: 'absent', reason: '无人' })
    await expect.poll(() => items.value.map(({ doneHere }) => doneHere)).toEqual([null, 'absent'])
  })
})

describe('somebody at a door', () => {
  it('waits for the next tube, or goes into the one that is open', async () => {
    const scope = effectScope()
    const sampling = scope.run(() => useSampling())
    if (!sampling) throw new Error('No scope')
    await sampling.arrive('p-1')
    expect([useTube().tube.value, sampling.waiting.value?.name]).toEqual([null, '演*禾 0002'])
    await sampling.heard(TUBE)
    expect([useTube().count.value, useTube().limit.value, sampling.waiting.value]).toEqual([1, 5, null])
    await sampling.arrive('p-200')
    expect(useTube().count.value).toBe(2)
    await sampling.arrive('p-200')
    expect(useTube().count.value).toBe(2)
    scope.stop()
  })
})

describe('settings', () => {
  it('drop what they do not know', () => {
    expect(readSettings('{"mode":"night","volume":"loud","evil":1}')).toEqual({ ...DEFAULTS, mode: 'night' })
    expect(readSettings('not json')).toEqual(DEFAULTS)
  })
})
