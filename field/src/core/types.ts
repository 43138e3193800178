/** The words that core, state and screens share. Plain data; no behaviour. */
import type { Pooling } from './rules/pooling'

/** A UUID in its canonical lower-case text. */
export type Uuid = string

/** Why something was turned away: a stable code, whose sentence is in `contract/words`, perhaps with a field. */
export class Refusal extends Error {
  readonly code: string
  readonly field: string | null
  readonly values: Readonly<Record<string, unknown>>

  constructor(code: string, field: string | null = null, values: Readonly<Record<string, unknown>> = {}) {
    super(code)
    this.name = 'Refusal'
    this.code = code
    this.field = field
    this.values = values
  }
}

/** Where a device may work, as paired or as the server last said. */
export interface ScopeItem {
  site: number | null
  area: string | null
  valid_from: string
  valid_to: string | null
}

export interface DeviceInfo {
  id: Uuid
  name: string
  district: number
  operation: number
  pairedAt: number
}

/** Who holds the phone. `offline`: signed on without the server, which will look at the name by itself. */
export interface Worker {
  login: string
  displayName: string
  roles: string[]
  validUntil: number
  offline: boolean
}

/** Somebody who has signed on on this phone before and can unlock it with a PIN, without a network. */
export interface KnownWorker {
  login: string
  displayName: string
  validUntil: number
  triesLeft: number
}

export interface Round {
  id: number
  number: number
  name: string
  pool_size: number
  state: string
  starts_at: string | null
  ends_at: string | null
  /** For whole codes that others have printed; null: only ours. */
  codes: { tube_pattern: string | null; box_pattern: string | null; bag_pattern: string | null }
  pooling: Pooling | null
  open_minutes: number
  tubes_per_bag: number
}

export interface Station {
  number: number
  name: string
}

export interface Site {
  id: number
  code: string
  kind: string
  name: string
  area: string
  /** Of a sampling point; those that work. */
  stations: Station[]
}

export interface Operation {
  id: number
  name: string
  kind: string
  drill: boolean
  ended: boolean
}

export interface Reference {
  now: string
  district: number
  operation: Operation
  rounds: Round[]
  sites: Site[]
  kinds: Record<string, number>
  scope: ScopeItem[]
  slice: { version: string; people: number } | null
}

/** A person of the slice. The name is masked; nothing here is more than a lost, unlocked phone may show. */
export interface SliceRow {
  person: Uuid
  name: string
  lastFour: string
  birthYear: number
  sex: number
  group: string
  householdSealed: boolean
  household: string
  area: string
  building: string
  unit: string
  estate: string
}

/** One line of the list of doors to knock at; names come from the slice by `person`. */
export interface DueItem {
  kind: string
  person: Uuid
  round: number | null
  area: string
  building: string
  unit: string
  estate: string
  tags: string[]
  deadline: string | null
  attempts: number
  last_outcome: string | null
  last_at?: string | null
  next_visit: string | null
  owner: string | null
}

export interface FormOption {
  zh: string
  en: string
}

export interface FormField {
  label: FormOption
  hint?: FormOption | null
  options?: Record<string, FormOption> | null
  fill?: 'round' | 'site' | 'station' | 'login' | 'person' | 'tube' | 'box' | null
}

/** A subset of JSON schema, as far as bodies of facts use it. */
export interface JsonSchema {
  type?: string | string[]
  properties?: Record<string, JsonSchema>
  required?: string[]
  enum?: (string | number | null)[]
  anyOf?: JsonSchema[]
  items?: JsonSchema
  format?: string
  pattern?: string
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  minItems?: number
  maxItems?: number
  default?: unknown
  title?: string
  description?: string
  $ref?: string
  $defs?: Record<string, JsonSchema>
  additionalProperties?: boolean
}

/** A kind of fact that the generic form can report. */
export interface FormKind {
  kind: string
  level: number
  title: FormOption
  icon?: string | null
  /** Who may report it. */
  roles?: string[]
  schema: JsonSchema
  fields: Record<string, FormField>
}

/** `waiting` and `flagged` are derived by the server and come back with the changes feed. */
export type OutboxState = 'pending' | 'accepted' | 'refused'

/** A case that the server opened about a fact of ours. */
export interface AttentionCase {
  seq: number
  code: string
  subject: string
  state: string
}

/** Body of a fact: whatever its kind asks for. */
export type Body = Record<string, unknown>

/** What the phone adds for its own display; never sent. */
export interface Note {
  /** Masked name and last four of the person that the fact is about. */
  name?: string
  lastFour?: string
  warnings?: Warning[]
  [key: string]: unknown
}

/** An outbox line as a screen shows it. `body` and `note` are null while locked, for other workers' rows, and once purged. */
export interface OutboxItem {
  id: Uuid
  seq: number
  kind: string
  at: number
  state: OutboxState
  code: string | null
  field: string | null
  flags: string[]
  cases: AttentionCase[]
  tube: string | null
  body: Body | null
  note: Note | null
}

/** Warnings never block. The sentence is `warning.<code>` in the field's words. */
export type WarningCode =
  | 'tube_used'
  | 'tube_used_here'
  | 'wrong_kind'
  | 'code_suspect'
  | 'code_invalid'
  | 'same_person_again'
  | 'already_sampled'
  | 'in_tube_already'
  | 'number_doubtful'
  | 'full'
  | 'over_full'
  | 'short'
  | 'key_group_pooled'
  | 'mixed_households'
  | 'mixed_streets'
  | 'rules_mixed'
  | 'size_not_allowed'
  | 'open_too_long'
  | 'outside_slice'

export interface Warning {
  code: WarningCode
  values: Record<string, string | number>
}

/** Somebody who is about to be swabbed: found in the slice, known by code only, or unknown and written down now. */
export type Swabbed =
  | { row: SliceRow }
  | { person: Uuid }
  | { unknown: { name: string; kind?: string; number?: string; phone?: string; group?: string } }

/** Somebody in a tube. */
export interface TubePerson {
  sample: Uuid
  person: Uuid
  name: string
  lastFour: string
  at: number
  single: boolean
  warnings: Warning[]
}
