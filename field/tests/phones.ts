/** Phones for tests: each with a storage of its own that outlives a kill. */
import { FieldDb } from '@/core/db'
import { Phone, type PhoneOptions } from '@/core/phone'
import { PIN, type FakeServer } from './server'

let made = 0

export const freshName = (): string => `test-${++made}-${Math.random().toString(36).slice(2)}`

/** The phone `name`, switched on. The same name again is the same phone after a kill, or another tab of it. */
export async function switchOn(server: FakeServer, name = freshName(), options: PhoneOptions = {}): Promise<Phone> {
  const phone = new Phone({ db: new FieldDb(name), fetch: server.fetch, iterations: 10, app: 'test', ...options })
  await phone.boot()
  return phone
}

export async function paired(server: FakeServer, name = freshName(), options: PhoneOptions = {}): Promise<Phone> {
  const phone = await switchOn(server, name, options)
  await phone.pair('ABCD-1234', '一号机')
  return phone
}

export async function signedOn(server: FakeServer, name = freshName(), options: PhoneOptions = {}): Promise<Phone> {
  const phone = await paired(server, name, options)
  await phone.signOn('nurse', PIN)
  return phone
}

/** The battery is out: nothing in memory survives. */
export function kill(phone: Phone): string {
  phone.sync.stop()
  phone.db.close()
  return phone.db.name
}

export const sample = (n: number, tube = 'TDJ03A004179') => ({
  kind: 'testing.sample_taken',
  body: { round: 1, site: 7, station: 1, tube, person: `018f0000-0000-7000-8000-${String(n).padStart(12, '0')}` },
  tube,
  note: { name: '演*禾', lastFour: '0002' },
})
