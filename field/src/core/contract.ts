/** What server and phone have agreed on, as far as the phone writes and reads it: names for the generated types. */
import type { components } from '@/contract.gen'

type Schemas = components['schemas']

export type Paired = Schemas['Paired']
export type SignedOn = Schemas['SignedOnOut']
export type Receipt = Schemas['FactReceipt']
export type SlicePage = Schemas['Slice']
export type DuePage = Schemas['Due']
export type Refused = Schemas['Refused']

type BodyName = Extract<keyof Schemas, `facts.${string}`>
/** Kinds of fact whose bodies the contract describes. */
export type FactKind = BodyName extends `facts.${infer Kind}` ? Kind : never
/** The body of a kind. What has a default may be left out; what must be there, the server's tests and ours say. */
export type BodyOf<K extends FactKind> = Partial<Schemas[`facts.${K}`]>

/** A fact whose body the contract knows: a misspelt or mistyped field does not compile. */
export function fact<K extends FactKind>(kind: K, body: BodyOf<K>): { kind: K; body: Record<string, unknown> } {
  return { kind, body: { ...body } }
}
