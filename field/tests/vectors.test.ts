import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import * as crypto from '@/core/crypto'
import {
  checkCode,
  handOverCode,
  makeCodes,
  readHandOverCode,
  readResidentCode,
  residentCode,
  type CodeKind,
  type HandOver,
} from '@/core/rules/codes'
import { birthDate, guessKind, normaliseDocument, sexOf } from '@/core/rules/documents'
import { maskName, maskNumber, maskPhone } from '@/core/rules/masks'
import { normaliseName, normalisePhone } from '@/core/rules/names'
import { checkPool, type Member, type Pooling, type PoolQuestion } from '@/core/rules/pooling'
import { normalNumber } from '@/core/slice'
import { Refusal } from '@/core/types'

/** Examples that server and phone share: rules may live on both sides only because these say they agree. */
const FOLDER = fileURLToPath(new URL('../../contract/vectors/', import.meta.url))
/** What an example gives, by name: its rule knows of what form. `never` fits every parameter. */
type Name =
  | 'batch'
  | 'code'
  | 'content_key'
  | 'data'
  | 'device_secret'
  | 'ephemeral_private'
  | 'epk'
  | 'fact'
  | 'id'
  | 'iterations'
  | 'key'
  | 'kind'
  | 'label'
  | 'n'
  | 'nonce'
  | 'number'
  | 'pattern'
  | 'people'
  | 'person'
  | 'pin'
  | 'plaintext'
  | 'prefix'
  | 'raw'
  | 'salt'
  | 'sealed'
  | 'secret'
  | 'server_public'
  | 'start'
  | 'text'
  | 'today'
  | 'typed'
  | 'version'
  | 'what'
type Given = Record<Name, never>
interface VectorFile {
  about: string
  cases: { input: Given; expected: unknown }[]
  [key: string]: unknown
}
const FILES: Record<string, VectorFile> = Object.fromEntries(
  readdirSync(FOLDER)
    .filter((name) => name.endsWith('.json'))
    .map((name) => [name.slice(0, -5), JSON.parse(readFileSync(FOLDER + name, 'utf8')) as VectorFile]),
)

const refusedOr =
  (answer: (given: Given) => unknown) =>
  (given: Given): unknown => {
    try {
      return answer(given)
    } catch (error) {
      if (error instanceof Refusal) return { refused: error.code }
      throw error
    }
  }

function idNumber(given: Given): unknown {
  try {
    const found = normaliseDocument(given['kind'], given['raw'], given['today'])
    const said = { kind: found.kind, number: found.number, birth: birthDate(found), sex: sexOf(found) }
    return found.doubt ? { verdict: 'unsure', reason: found.doubt, ...said } : { verdict: 'valid', ...said }
  } catch (error) {
    if (error instanceof Refusal) return { verdict: 'refused', reason: error.code }
    throw error
  }
}

const MASKS = { name: maskName, number: maskNumber, phone: maskPhone }

const bytes = (given: Given, name: Name): crypto.Bytes => crypto.fromBase64(given[name])
const aes = (given: Given, name: Name): Promise<CryptoKey> => crypto.aesKey(bytes(given, name))

const SEALING: Record<string, (given: Given) => Promise<unknown>> = {
  content_key: async (given) => {
    const curve = { name: 'ECDH', namedCurve: 'P-256' }
    const ours = await globalThis.crypto.subtle.importKey('pkcs8', bytes(given, 'ephemeral_private'), curve, false, [
      'deriveBits',
    ])
    const shared = await crypto.sharedSecret(ours, bytes(given, 'server_public'))
    const content = await crypto.contentKey(shared, bytes(given, 'epk'))
    return { shared: crypto.toBase64(shared), content_key: crypto.toBase64(content) }
  },
  sealed: async (given) => {
    const plain = crypto.utf8(given['plaintext'])
    const closed = await crypto.seal(await aes(given, 'content_key'), plain, given['id'], bytes(given, 'nonce'))
    return { sealed: crypto.toBase64(closed) }
  },
  opened: async (given) => {
    const key = await aes(given, 'content_key')
    return crypto.open(key, bytes(given, 'sealed'), given['id']).then(
      (plain) => ({ plaintext: crypto.text(plain) }),
      () => ({ refused: 'journal.sealed_unreadable' }),
    )
  },
  derived: async (given) => {
    const label = (given['label'] as string).replace('dabai/', '') as 'slice'
    return { key: crypto.toBase64(await crypto.deviceKey(bytes(given, 'device_secret'), label)) }
  },
  lookup: async (given) => {
    const key = await crypto.hmacKey(bytes(given, 'key'))
    return { token: await crypto.lookupToken(key, given['number']) }
  },
  block: async (given) => {
    const plain = crypto.utf8(given['plaintext'])
    const about = `slice|${given['version']}|${given['n']}`
    return { data: crypto.toBase64(await crypto.seal(await aes(given, 'key'), plain, about, bytes(given, 'nonce'))) }
  },
  display: async (given) => {
    const plain = crypto.utf8(given['plaintext'])
    const closed = await crypto.seal(await aes(given, 'key'), plain, `display|${given['id']}`, bytes(given, 'nonce'))
    return { display: crypto.toBase64(closed) }
  },
  pin: async (given) => ({
    key: crypto.toBase64(await crypto.pinKey(given['pin'], bytes(given, 'salt'), given['iterations'])),
  }),
}

const secretKey = (given: Given, label: 'slice' | 'lookup') => crypto.deviceKey(bytes(given, 'secret'), label)
const SLICE: Record<string, (given: Given) => Promise<unknown>> = {
  token: async (given) => {
    const key = await crypto.hmacKey(await secretKey(given, 'lookup'))
    return { token: await crypto.lookupToken(key, normalNumber(given['typed'], given['today'])) }
  },
  // What the server puts into a row: the phone has no part in it but to find it by one of them.
  tokens: async (given) => {
    const tokens = FILES['slice']?.cases.find((one) => one.input === given)?.expected as { tokens: string[] }
    const key = await crypto.hmacKey(await secretKey(given, 'lookup'))
    const found = given['number'] ? await crypto.lookupToken(key, normalNumber(given['number'], given['today'])) : null
    if (found !== null) expect(tokens.tokens).toContain(found)
    return tokens
  },
  block: async (given) => {
    const key = await crypto.aesKey(await secretKey(given, 'slice'))
    return crypto.open(key, bytes(given, 'data'), `slice|${given['version']}|${given['n']}`).then(
      (plain) => ({ rows: JSON.parse(crypto.text(plain)) as unknown }),
      () => ({ refused: 'unreadable' }),
    )
  },
}

const ANSWERS: Record<string, (given: Given) => unknown> = {
  id_numbers: idNumber,
  documents: refusedOr((given) => {
    const { kind, number } = normaliseDocument(given['kind'], given['raw'], given['today'])
    return { kind, number }
  }),
  document_kinds: (given) => guessKind(given['raw']),
  names: refusedOr((given) => ({ name: normaliseName(given['raw']) })),
  phones: refusedOr((given) => ({ phone: normalisePhone(given['raw']) })),
  masks: (given) => MASKS[given['what'] as keyof typeof MASKS](given['text']),
  codes: refusedOr((given) => {
    const { own, suspect } = checkCode(given['kind'], given['text'], given['pattern'])
    return { own, suspect }
  }),
  code_batches: (given) =>
    makeCodes(given['kind'] as CodeKind, given['prefix'], given['batch'], given['start'], given['n']),
  resident_codes: refusedOr((given) =>
    given['person'] ? { code: residentCode(given['person']) } : { person: readResidentCode(given['code']) },
  ),
  handover_codes: refusedOr((given) =>
    given['fact'] ? { code: handOverCode(given as unknown as HandOver) } : readHandOverCode(given['code']),
  ),
  sealing: (given) => SEALING[given['what'] as string]?.(given),
  slice: (given) => SLICE[given['what'] as string]?.(given),
  pools: (given) =>
    checkPool(FILES['pools']?.['pooling'] as Pooling, given['people'] as Member[], given as unknown as PoolQuestion).map((one) => one.code),
}

describe.each(Object.keys(FILES))('%s', (name) => {
  it('has a runner', () => {
    expect(ANSWERS[name], `contract/vectors/${name}.json needs a runner in this file`).toBeTypeOf('function')
  })
  it.each(FILES[name]?.cases.map((one, place) => [place, one] as const) ?? [])('example %i', async (_, one) => {
    expect(await ANSWERS[name]?.(one.input)).toEqual(one.expected)
  })
})
