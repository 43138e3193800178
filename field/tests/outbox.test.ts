import { Dexie } from 'dexie'
import { describe, expect, it } from 'vitest'
import { uuid7 } from '@/core/clock'
import { FieldDb } from '@/core/db'
import { attentionOf, flagNames } from '@/core/outbox'
import { freshName, kill, paired, sample, signedOn, switchOn } from './phones'
import { FakeServer, PIN } from './server'

describe('writing', () => {
  it('keeps a fact sealed, and shows it to whoever is signed on', async () => {
    const phone = await signedOn(new FakeServer())
    const [id] = await phone.put([sample(1)])
    const row = await phone.db.outbox
      .where('id')
      .equals(id ?? '')
      .first()
    expect(row).toMatchObject({ seq: 1, state: 'pending', tube: 'TDJ03A004179', by: 'nurse' })
    const stored =
      new TextDecoder('latin1').decode(row?.sealed ?? undefined) +
      new TextDecoder('latin1').decode(row?.display ?? undefined)
    expect(stored).not.toContain('018f0000')
    expect(row && (await phone.outbox.item(row))).toMatchObject({ body: sample(1).body, note: { name: '演*禾' } })
  })

  it('writes nothing while locked', async () => {
    const phone = await paired(new FakeServer())
    await expect(phone.put([sample(1)])).rejects.toMatchObject({ code: 'field.locked' })
  })

  it('numbers without a gap, whoever writes at once in two tabs', async () => {
    const server = new FakeServer()
    const one = await signedOn(server)
    const two = await switchOn(server, one.db.name)
    await two.unlock('nurse', PIN, true)
    const tabs = [one, two]
    await Promise.all(Array.from({ length: 60 }, (_, n) => tabs[n % 2]?.put([sample(2 * n), sample(2 * n + 1)])))
    const rows = await one.db.outbox.orderBy('seq').toArray()
    expect(rows.map(({ seq }) => seq)).toEqual(Array.from({ length: 120 }, (_, n) => n + 1))
    await one.sync.cycle()
    expect([...server.stored.values()].map((fact) => fact.device_seq).sort((a, b) => a - b)).toEqual(
      rows.map(({ seq }) => seq),
    )
  })

  it('writes a fact with a natural id once', async () => {
    const phone = await signedOn(new FakeServer())
    const id = uuid7()
    await phone.put([{ kind: 'testing.box_handed_over', id, body: { box: 'X' } }])
    await phone.put([{ kind: 'testing.box_handed_over', id, body: { box: 'X' } }])
    expect(await phone.db.outbox.count()).toBe(1)
    expect(await phone.db.read('seq')).toBe(1)
  })

  it('survives a kill and a forgotten PIN: nothing of it needs the PIN to be sent', async () => {
    const server = new FakeServer()
    server.offline = false
    const phone = await signedOn(server)
    await phone.put([sample(1), sample(2)])
    const again = await switchOn(server, kill(phone))
    expect(again.vault.keys).toBeNull()
    await again.sync.cycle()
    expect(server.stored.size).toBe(2)
    expect(await again.outbox.counts()).toMatchObject({ pending: 0 })
  })

  it('gives ids that sort by time, even within a millisecond', () => {
    const ids = Array.from({ length: 10_000 }, () => uuid7(1_647_151_200_000))
    expect([...ids].sort()).toEqual(ids)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })
})

describe('what became of it', () => {
  it('drops the sealed bytes with the receipt, the display copy after three days', async () => {
    const server = new FakeServer()
    let now = Date.now()
    const phone = await signedOn(server, freshName(), { now: () => now })
    await phone.put([sample(1)])
    await phone.sync.cycle()
    expect(await phone.db.outbox.get(1)).toMatchObject({ state: 'accepted', sealed: null })
    expect((await phone.db.outbox.get(1))?.display).not.toBeNull()
    now += 4 * 24 * 3_600_000
    await phone.outbox.purge()
    expect((await phone.db.outbox.get(1))?.display).toBeNull()
    expect(await phone.db.envelopes.count()).toBe(0)
  })

  it('forgets what it said when the operation is over, and old rows after two weeks, but nothing unsent', async () => {
    const server = new FakeServer()
    let now = Date.now()
    const phone = await signedOn(server, freshName(), { now: () => now })
    await phone.put([sample(1)])
    await phone.sync.cycle()
    const [unsent] = await phone.put([sample(2)])
    server.poison.add(unsent ?? '')
    server.reference = { operation: { id: 1, name: '演练', kind: 'drill', drill: true, ended: true } }
    phone.sync.kick()
    await phone.sync.cycle()
    phone.sync.stop()
    const displays = (await phone.db.outbox.toArray()).map(({ display }) => display !== null)
    expect(displays).toEqual([false, true])
    now += 15 * 24 * 3_600_000
    await phone.outbox.purge()
    expect((await phone.db.outbox.toArray()).map(({ seq }) => seq)).toEqual([2])
    expect((await phone.db.outbox.get(2))?.sealed).not.toBeNull()
    expect(await phone.db.envelopes.count()).toBe(1)
  })

  it('says in whose hands a case is', () => {
    const base = { seq: 1, subject: 'T', state: 'open' }
    expect(attentionOf({ flags: [], cases: [] })).toBe('none')
    expect(attentionOf({ flags: [], cases: [{ ...base, code: 'tube.person_unknown' }] })).toBe('waiting')
    expect(attentionOf({ flags: [], cases: [{ ...base, code: 'tube.contested' }] })).toBe('flagged')
    expect(attentionOf({ flags: [], cases: [{ ...base, code: 'tube.contested', state: 'settled' }] })).toBe('none')
    expect(attentionOf({ flags: ['4'], cases: [] })).toBe('flagged')
    expect(flagNames(5)).toEqual(['1', '4'])
    expect(flagNames(0)).toEqual([])
  })

  it('takes flags and cases from the changes feed, and takes them away again', async () => {
    const server = new FakeServer()
    const phone = await signedOn(server)
    const [id] = await phone.put([sample(1)])
    const attention = { code: 'person.sampled_twice', subject: 'p', facts: [id] }
    server.changes = [{ entries: [{ id, flags: 0 }], attention: [{ ...attention, seq: 5, state: 'open' }] }]
    await phone.sync.cycle()
    expect(await phone.outbox.counts()).toMatchObject({ flagged: 1, pending: 0 })
    server.changes.push({ attention: [{ ...attention, seq: 9, state: 'gone' }] })
    await phone.sync.cycle()
    expect(await phone.outbox.counts()).toMatchObject({ flagged: 0 })
  })
})

describe('an upgrade of the app', () => {
  it('finds what the first version wrote', async () => {
    // A copy, never to be changed: phones in the field have this.
    const first = new Dexie(freshName())
    first.version(1).stores({
      meta: 'name',
      keys: 'name',
      vault: 'login',
      envelopes: 'id',
      outbox: 'seq, &id, state, [state+seq], attention, kind, tube, at',
      slice: '[version+n]',
      hints: 'id, tube',
    })
    const server = new FakeServer()
    const writer = await signedOn(server)
    await writer.put([sample(1), sample(2)])
    for (const name of ['meta', 'keys', 'vault', 'envelopes', 'outbox']) {
      await first.table(name).bulkAdd(await writer.db.table(name).toArray())
    }
    first.close()
    const now = await switchOn(server, first.name)
    await now.sync.cycle()
    expect(server.stored.size).toBe(2)
    expect(await now.outbox.counts()).toMatchObject({ pending: 0 })
  })

  it('keeps unsent facts, and sends them', async () => {
    const server = new FakeServer()
    const phone = await signedOn(server)
    await phone.put([sample(1), sample(2), sample(3)])
    const name = kill(phone)

    class NextDb extends FieldDb {
      constructor() {
        super(name)
        const stores = { outbox: 'seq, &id, state, [state+seq], attention, kind, tube, at, by' }
        this.version(2)
          .stores(stores)
          .upgrade((tx) => tx.table('outbox').toCollection().modify({ extra: true }))
      }
    }
    const next = new NextDb()
    const upgraded = await switchOn(server, name, { db: next })
    expect(next.verno).toBe(2)
    expect(await next.outbox.where('by').equals('nurse').count()).toBe(3)
    await upgraded.sync.cycle()
    expect(server.stored.size).toBe(3)
  })
})
