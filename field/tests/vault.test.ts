import { describe, expect, it } from 'vitest'
import { pairingCode } from '@/core/phone'
import { GRACE_MS, IDLE_MS, MAX_WRONG, SHIFT_MS } from '@/core/vault'
import { freshName, kill, paired, sample, signedOn, switchOn } from './phones'
import { FakeServer, PIN, SECRET } from './server'

describe('pairing', () => {
  it('reads the code from a slip or an address', () => {
    expect(pairingCode('https://host/field/#/pair?code=ABCD-1234')).toBe('ABCD-1234')
    expect(pairingCode(' abcd-1234 ')).toBe('ABCD-1234')
  })

  it('keeps the token so that only this browser can read it', async () => {
    const phone = await paired(new FakeServer())
    expect(JSON.stringify(await phone.db.meta.toArray())).not.toContain('token-of-this-device')
    const key = (await phone.db.keys.get('device'))?.key
    expect(key?.extractable).toBe(false)
    const again = await switchOn(new FakeServer(), kill(phone))
    expect(await again.vault.token()).toBe('token-of-this-device')
  })

  it('is not done over unsent facts', async () => {
    const phone = await signedOn(new FakeServer())
    await phone.put([sample(1)])
    await expect(phone.pair('ABCD-1234', '')).rejects.toMatchObject({ code: 'field.unsent' })
  })
})

describe('signing on', () => {
  it('needs the network once, then a PIN', async () => {
    const server = new FakeServer()
    const phone = await signedOn(server)
    expect(phone.vault.need().worker).toMatchObject({ displayName: '演佳禾', roles: ['sampler'], offline: false })
    server.offline = true
    const again = await switchOn(server, kill(phone))
    await again.unlock('nurse', PIN, false)
    expect(again.vault.need().worker.login).toBe('nurse')
  })

  it('leaves the secret nowhere in clear', async () => {
    const phone = await signedOn(new FakeServer())
    const row = await phone.db.vault.get('nurse')
    expect(Buffer.from(row?.wrapped ?? []).includes(Buffer.from(SECRET))).toBe(false)
  })

  it('forgets a worker after ten wrong PINs, but no fact', async () => {
    const server = new FakeServer()
    const phone = await signedOn(server)
    await phone.put([sample(1)])
    phone.lock()
    for (let left = MAX_WRONG - 1; left > 0; left -= 1) {
      await expect(phone.unlock('nurse', '000000', false)).rejects.toMatchObject({
        code: 'access.pin_wrong',
        values: { left },
      })
    }
    await expect(phone.unlock('nurse', '000000', false)).rejects.toMatchObject({ code: 'field.worker_forgotten' })
    await expect(phone.unlock('nurse', PIN, false)).rejects.toMatchObject({ code: 'field.worker_unknown' })
    await phone.sync.cycle()
    expect(server.stored.size).toBe(1)
    await phone.signOn('nurse', PIN)
    expect(await phone.outbox.item((await phone.db.outbox.get(1)) ?? fail())).toMatchObject({ body: sample(1).body })
  })

  it('starts counting again after a right PIN', async () => {
    const phone = await signedOn(new FakeServer())
    await expect(phone.unlock('nurse', '000000', false)).rejects.toMatchObject({ values: { left: 9 } })
    await phone.unlock('nurse', PIN, false)
    expect(await phone.vault.workers()).toMatchObject([{ login: 'nurse', triesLeft: 10 }])
  })

  it('knows several workers, and forgets who signs off', async () => {
    const server = new FakeServer()
    const phone = await signedOn(server)
    await phone.signOn('packer', PIN)
    expect((await phone.vault.workers()).map(({ login }) => login)).toEqual(['nurse', 'packer'])
    await phone.put([sample(1)])
    expect((await phone.db.outbox.get(1))?.by).toBe('packer')
    await phone.vault.forget('packer')
    expect(await phone.vault.workers()).toHaveLength(1)
  })

  it('lets somebody work whom it has never seen and cannot ask about', async () => {
    const server = new FakeServer()
    const phone = await paired(server)
    server.offline = true
    await phone.signOnOffline('volunteer', '4711')
    await phone.put([sample(1)])
    phone.lock()
    await phone.unlock('volunteer', '4711', false)
    expect(await phone.outbox.item((await phone.db.outbox.get(1)) ?? fail())).toMatchObject({ body: sample(1).body })
    server.offline = false
    await phone.sync.cycle()
    expect([...server.stored.values()]).toMatchObject([{ by: 'volunteer' }])
  })

  it('does not let that way past the PIN of somebody it knows', async () => {
    const phone = await signedOn(new FakeServer())
    await expect(phone.signOnOffline('nurse', '1111')).rejects.toMatchObject({ code: 'field.worker_known' })
  })
})

describe('the end of a shift', () => {
  it('asks the server again, but not where there is none', async () => {
    let now = Date.now()
    const server = new FakeServer()
    server.now = () => now
    const phone = await signedOn(server, freshName(), { now: () => now })
    phone.lock()
    now += SHIFT_MS + 1_000
    await expect(phone.unlock('nurse', PIN, true)).rejects.toMatchObject({ code: 'field.shift_over' })
    await phone.unlock('nurse', PIN, false)
    now += GRACE_MS
    await expect(phone.unlock('nurse', PIN, false)).rejects.toMatchObject({ code: 'field.shift_over' })
  })

  it('leaves nothing readable when it is locked in the middle of reading', async () => {
    const server = new FakeServer()
    server.slices.rows = [['p-1', ['aa'], '演*禾', '0002', 1990, 2, '', 0, 'h', '340602001', '3', '1', '和平']]
    const phone = await signedOn(server)
    await phone.put([sample(1)])
    await phone.sync.cycle()
    await expect.poll(() => phone.slice.size).toBe(1)
    const again = await switchOn(server, kill(phone))
    const keys = await again.vault.unlock('nurse', PIN, true)
    const row = await again.db.outbox.get(1)
    const reading = Promise.all([again.slice.unlock(keys), again.sync.unlock(), row && again.outbox.show(row)])
    again.lock()
    expect((await reading)[2]).toBeNull()
    expect(again.slice.size).toBe(0)
    expect(again.sync.due.items).toHaveLength(0)
  })

  it('is locked when it lies unused', async () => {
    let now = Date.now()
    const server = new FakeServer()
    server.now = () => now
    const phone = await signedOn(server, freshName(), { now: () => now })
    expect(phone.vault.isDue(true)).toBe(false)
    now += IDLE_MS - 1_000
    await phone.put([sample(1)])
    now += IDLE_MS - 1_000
    expect(phone.vault.isDue(true)).toBe(false)
    now += 2_000
    expect(phone.vault.isDue(true)).toBe(true)
    phone.lock()
    const row = await phone.db.outbox.get(1)
    expect(row && (await phone.outbox.item(row))).toMatchObject({ body: null, note: null })
  })
})

function fail(): never {
  throw new Error('A row is missing')
}
