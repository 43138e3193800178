import { describe, expect, it } from 'vitest'
import { backOff } from '@/core/sync'
import { measureSkew } from '@/core/clock'
import { freshName, kill, paired, sample, signedOn, switchOn } from './phones'
import { FakeServer, PIN } from './server'

const many = (n: number, from = 0) => Array.from({ length: n }, (_, place) => sample(from + place))

describe('sending', () => {
  it('drains 5,000 facts in at most ten seconds', { timeout: 60_000 }, async () => {
    const server = new FakeServer()
    const phone = await signedOn(server)
    server.offline = true
    for (let at = 0; at < 5_000; at += 500) await phone.put(many(500, at))
    server.offline = false
    const before = performance.now()
    await phone.sync.cycle()
    expect(performance.now() - before).toBeLessThan(10_000)
    expect(server.stored.size).toBe(5_000)
    expect(await phone.outbox.counts()).toMatchObject({ pending: 0 })
    const posts = server.requests.filter(({ path }) => path === '/facts')
    expect(Math.max(...posts.map(({ facts }) => facts))).toBeLessThanOrEqual(500)
    expect(posts.at(-1)?.body).toMatchObject({ highest_seq: 5_000, unsent: 0, app: 'field test' })
  })

  it('sends before it fetches', async () => {
    const server = new FakeServer()
    const phone = await signedOn(server)
    server.requests.length = 0
    await phone.put([sample(1)])
    await phone.sync.cycle()
    expect(server.requests.map(({ path }) => path)).toEqual([
      '/facts',
      '/reference',
      '/forms',
      '/changes',
      '/slice',
      '/due',
    ])
  })

  it('does not call a fact accepted without its receipt', async () => {
    const server = new FakeServer()
    const phone = await signedOn(server)
    const ids = await phone.put(many(3))
    server.silentAbout.add(ids[1] ?? '')
    await expect(phone.sync.cycle()).rejects.toMatchObject({ code: 'field.server_trouble' })
    expect(await phone.outbox.counts()).toMatchObject({ pending: 1 })
    expect(
      (
        await phone.db.outbox
          .where('id')
          .equals(ids[1] ?? '')
          .first()
      )?.sealed,
    ).not.toBeNull()
    server.silentAbout.clear()
    await phone.sync.cycle()
    expect(await phone.outbox.counts()).toMatchObject({ pending: 0 })
  })

  it('keeps the reason of a refusal', async () => {
    const server = new FakeServer()
    const phone = await signedOn(server)
    server.refuses.add('testing.tube_sealed')
    await phone.put([sample(1), { kind: 'testing.tube_sealed', body: {} }])
    await phone.sync.cycle()
    expect(await phone.outbox.counts()).toMatchObject({ pending: 0, refused: 1 })
    expect(await phone.db.outbox.get(2)).toMatchObject({ state: 'refused', code: 'journal.refused', field: 'body' })
  })

  it('lets one unfit fact stop nobody but itself', async () => {
    const server = new FakeServer()
    const phone = await signedOn(server)
    const ids = await phone.put(many(450))
    server.poison
      .add(ids[37] ?? '')
      .add(ids[38] ?? '')
      .add(ids[300] ?? '')
    await phone.sync.cycle()
    expect(await phone.outbox.counts()).toMatchObject({ pending: 3, refused: 0 })
    expect(server.stored.size).toBe(447)
    expect(phone.sync.status.problem).toBe('api.request_invalid')
    server.poison.clear()
    await phone.sync.cycle()
    expect(await phone.outbox.counts()).toMatchObject({ pending: 0 })
    expect(phone.sync.status.problem).toBeNull()
  })

  it('sends less at once to a server that takes less', async () => {
    const server = new FakeServer()
    const phone = await signedOn(server)
    server.maxFacts = 30
    await phone.put(many(200))
    await phone.sync.cycle()
    expect(server.stored.size).toBe(200)
  })

  it('keeps everything while the server does not know it', async () => {
    const server = new FakeServer()
    const phone = await signedOn(server)
    await phone.put(many(3))
    server.unauthorised = true
    await phone.sync.run()
    phone.sync.stop()
    expect(phone.sync.status).toMatchObject({ state: 'waiting', problem: 'access.token_unknown' })
    expect(await phone.outbox.counts()).toMatchObject({ pending: 3, refused: 0 })
  })

  it('loses and doubles nothing when answers are lost and the phone is killed in between', async () => {
    const server = new FakeServer()
    const name = freshName()
    let phone = await signedOn(server, name)
    const ids: string[] = []
    for (let time = 0; time < 12; time += 1) {
      ids.push(...(await phone.put(many(37, time * 37))))
      server.loseAnswers = time % 3
      const cycle = phone.sync.cycle().catch(() => undefined)
      if (time % 2 === 0) await cycle
      else await new Promise((soon) => setTimeout(soon, time))
      kill(phone)
      await cycle
      phone = await switchOn(server, name)
      await phone.unlock('nurse', PIN, true)
    }
    server.loseAnswers = 0
    await phone.sync.cycle()
    expect(await phone.outbox.counts()).toEqual({ pending: 0, refused: 0, waiting: 0, flagged: 0 })
    expect([...server.stored.keys()].sort()).toEqual([...ids].sort())
    const numbers = [...server.stored.values()].map((fact) => fact.device_seq).sort((a, b) => a - b)
    expect(numbers).toEqual(ids.map((_, place) => place + 1))
  })

  it('is done by one tab at a time', async () => {
    const server = new FakeServer()
    const one = await signedOn(server)
    const two = await switchOn(server, one.db.name)
    await one.put(many(300))
    await Promise.all([one.sync.run(), two.sync.run()])
    one.sync.stop()
    two.sync.stop()
    const sent = server.requests.filter(({ path }) => path === '/facts').reduce((sum, { facts }) => sum + facts, 0)
    expect(sent).toBe(300)
  })
})

describe('when it fails', () => {
  it('waits longer each time, by chance, and never more than two minutes', () => {
    expect(backOff(1, () => 1)).toBe(2_000)
    expect(backOff(5, () => 1)).toBe(32_000)
    expect(backOff(50, () => 1)).toBe(120_000)
    expect(backOff(50, () => 0)).toBe(250)
    expect(backOff(1, () => 0, 30_000)).toBe(30_000)
  })

  it('says that nothing was reached, and tries at once when the network is back', async () => {
    const server = new FakeServer()
    const phone = await signedOn(server)
    await phone.put(many(2))
    server.offline = true
    await phone.sync.run()
    expect(phone.sync.status).toMatchObject({ state: 'waiting', problem: 'field.offline', reached: false })
    expect(phone.sync.status.nextAt).toBeGreaterThan(0)
    server.offline = false
    await phone.sync.start()
    await new Promise((soon) => setTimeout(soon, 30))
    await phone.sync.run()
    phone.sync.stop()
    expect(phone.sync.status).toMatchObject({ state: 'idle', problem: null, reached: true })
    expect(await phone.outbox.counts()).toMatchObject({ pending: 0 })
  })

  it('measures how far the clocks are apart', async () => {
    const server = new FakeServer()
    server.now = () => Date.now() + 90_000
    const phone = await signedOn(server)
    await phone.put([sample(1)])
    await phone.sync.cycle()
    expect(Math.abs((phone.sync.status.skew ?? 0) - 90_000)).toBeLessThan(1_000)
    expect(measureSkew('2022-03-13T00:00:00Z', 0, 60_000, 5)).toBe(5)
    expect(measureSkew('nonsense', 0, 10, 5)).toBe(5)
  })
})

describe('fetching', () => {
  it('learns who was sampled, page by page, and forgets it when the feed starts again', async () => {
    const server = new FakeServer()
    const phone = await signedOn(server)
    const heard = (n: number) => ({
      id: `f-${n}`,
      person: `p-${n}`,
      tube: `T${n}`,
      round: 1,
      site: 7,
      device: 'other',
      at: '2022-03-13T08:00:00Z',
    })
    server.changes = [{ samples: [heard(1)] }, { samples: [heard(2), heard(3)] }]
    await phone.put([sample(9)], { hints: [{ ...heard(9), at: 1, own: true }] })
    await phone.sync.cycle()
    expect(phone.hints.sampled('p-2', 1)?.tube).toBe('T2')
    expect(phone.hints.ofTube('T3')).toHaveLength(1)
    server.changes.push({ withdrawn: ['f-3'] })
    await phone.sync.cycle()
    expect(phone.hints.ofTube('T3')).toHaveLength(0)
    server.changes.push({ reset: true, samples: [heard(4)] })
    await phone.sync.cycle()
    expect(phone.hints.sampled('p-2', 1)).toBeNull()
    expect(phone.hints.sampled('p-4', 1)?.tube).toBe('T4')
    expect(phone.hints.sampled('p-9', 1)?.tube).toBe('T9')
    const again = await switchOn(server, kill(phone))
    expect(again.hints.sampled('p-4', 1)?.tube).toBe('T4')
  })

  it('does without what the server does not offer', async () => {
    const server = new FakeServer()
    const phone = await signedOn(server)
    server.failSliceAfter = 0
    server.changes = [{ samples: [] }]
    await phone.sync.cycle()
    expect(await phone.db.read('reference')).toMatchObject({ operation: { drill: true } })
  })

  it('keeps the list of doors under the PIN', async () => {
    const server = new FakeServer()
    const phone = await signedOn(server)
    server.due = {
      items: [{ kind: 'testing.home_sampling', person: 'p-1', building: '3' }],
      as_of: '2022-03-13T08:00:00Z',
    }
    phone.sync.kick()
    await phone.sync.cycle()
    expect(phone.sync.due.items).toHaveLength(1)
    phone.lock()
    expect(phone.sync.due.items).toHaveLength(0)
    expect(JSON.stringify(await phone.db.meta.toArray())).not.toContain('home_sampling')
    await phone.unlock('nurse', PIN, false)
    expect(phone.sync.due.items).toHaveLength(1)
    phone.sync.stop()
  })
})

describe('a phone that is lost', () => {
  it('hands in what it has, gets nothing more, and forgets the rest', async () => {
    const server = new FakeServer()
    const phone = await signedOn(server)
    server.slices.rows = [['p-1', ['aa'], '演*禾', '0002', 1990, 2, '', 0, 'h', '340602001', '3', '1', '和平']]
    await phone.put(many(3))
    await phone.sync.cycle()
    await phone.put(many(2, 10))
    server.lost = true
    server.poison.add((await phone.db.outbox.get(5))?.id ?? '')
    await phone.sync.cycle()
    expect(phone.vault.keys).toBeNull()
    expect(await phone.db.vault.count()).toBe(0)
    expect(await phone.db.slice.count()).toBe(0)
    expect(await phone.db.hints.count()).toBe(0)
    expect(await phone.outbox.counts()).toMatchObject({ pending: 1 })
    expect((await phone.db.outbox.get(5))?.display).toBeNull()
    await expect(phone.signOnOffline('nurse', '123456')).rejects.toMatchObject({ code: 'access.device_lost' })
    server.poison.clear()
    const again = await switchOn(server, kill(phone))
    await again.sync.cycle()
    expect(server.stored.size).toBe(5)
    expect(await again.device()).toBeUndefined()
    expect(await again.db.outbox.count()).toBe(0)
    expect(await again.db.keys.count()).toBe(0)
  })

  it('notices without anything to send', async () => {
    const server = new FakeServer()
    const phone = await signedOn(server)
    server.lost = true
    const news: string[] = []
    phone.sync.onNews((one) => one === 'status' || news.push(one))
    await phone.sync.cycle()
    expect(news).toEqual(expect.arrayContaining(['closed', 'gone']))
    expect(await phone.device()).toBeUndefined()
  })

  it('does not wait for a PIN', async () => {
    const server = new FakeServer()
    const phone = await paired(server)
    server.revoked = true
    await expect(phone.signOn('nurse', PIN)).rejects.toMatchObject({ code: 'access.device_not_allowed' })
    await phone.sync.run()
    phone.sync.stop()
    expect(await phone.device()).toBeUndefined()
  })
})
