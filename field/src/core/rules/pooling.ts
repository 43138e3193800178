/**
 * Who may share a tube (混采), by the rules of a profile. Port of `dabai/protocols/pooling.py`.
 *
 * Findings are flags: the swabs are in the tube already. Nothing here throws, and no screen forbids because of it.
 */

export type Sharing = 'nobody' | 'household' | 'street' | 'anybody'

export interface PoolRule {
  code: string
  name: { zh: string; en: string }
  groups: string[]
  area_classes: string[]
  household_sealed: boolean | null
  size: number
  sharing: Sharing
}

export interface Pooling {
  sizes: number[]
  default_size: number
  open_minutes: number
  short_pool: string
  grey_zone: string
  rules: PoolRule[]
}

/** What is known of somebody in a tube; absent or empty where unknown. */
export interface Member {
  person: string
  group?: string
  household?: string
  street?: string
  household_sealed?: boolean
  area_class?: string
}

export type FindingCode =
  | 'empty'
  | 'size_not_allowed'
  | 'over_full'
  | 'short'
  | 'same_person_twice'
  | 'key_group_pooled'
  | 'mixed_households'
  | 'mixed_streets'
  | 'rules_mixed'
  | 'open_too_long'

export interface Finding {
  code: FindingCode
  /** Those it is about. */
  people: string[]
  limit: number
  found: number
}

export interface PoolQuestion {
  /** What the round, or the tube itself, was meant for; the profile's default if absent. */
  size?: number | null
  /** From the first swab to the seal. */
  minutes_open?: number | null
  /** Somebody confirmed a short tube, as the profile asks. */
  confirmed?: boolean
}

const finding = (code: FindingCode, people: string[] = [], limit = 0, found = 0): Finding => ({
  code,
  people,
  limit,
  found,
})

/** The first rule that holds for this person. The last one of every profile holds for everybody. */
export function ruleFor(pooling: Pooling, member: Member): PoolRule {
  const found = pooling.rules.find((rule) => holds(rule, member)) ?? pooling.rules.at(-1)
  if (!found) throw new Error('A profile without pool rules')
  return found
}

function holds(rule: PoolRule, member: Member): boolean {
  return (
    (rule.groups.length === 0 || rule.groups.includes(member.group ?? '')) &&
    (rule.area_classes.length === 0 || rule.area_classes.includes(member.area_class ?? 'normal')) &&
    (rule.household_sealed === null || rule.household_sealed === (member.household_sealed ?? false))
  )
}

/** What is wrong with a tube of `people`, whatever their order. An empty list: nothing. */
export function checkPool(pooling: Pooling, people: readonly Member[], question: PoolQuestion = {}): Finding[] {
  const late = timing(pooling, question.minutes_open ?? null)
  if (people.length === 0) return [finding('empty'), ...late]
  const meant = question.size || pooling.default_size
  return [...counts(pooling, people, meant, question.confirmed ?? false), ...company(pooling, people), ...late]
}

/** How many these people may be in one tube: the smallest that a rule gives any of them, or the whole household. */
export function tubeLimit(pooling: Pooling, people: readonly Member[], meant: number): number {
  const rules = people.map((member) => ruleFor(pooling, member))
  const shared = rules.filter((rule) => rule.sharing !== 'nobody').map((rule) => rule.size)
  const household = rules.length > 0 && rules.every((rule) => rule.sharing === 'household')
  return Math.min(...(household ? shared : [meant, ...shared]))
}

function counts(pooling: Pooling, people: readonly Member[], meant: number, confirmed: boolean): Finding[] {
  const found: Finding[] = []
  if (!pooling.sizes.includes(meant)) {
    found.push(finding('size_not_allowed', [], Math.max(...pooling.sizes), meant))
  }
  const seen = people.map((member) => member.person)
  const distinct = new Set(seen)
  const twice = [...distinct].filter((person) => seen.indexOf(person) !== seen.lastIndexOf(person)).sort()
  if (twice.length > 0) found.push(finding('same_person_twice', twice, 1, seen.length))
  const rules = people.map((member) => ruleFor(pooling, member))
  const anyShared = rules.some((rule) => rule.sharing !== 'nobody')
  const oneHousehold = rules.every((rule) => rule.sharing === 'household')
  const limit = tubeLimit(pooling, people, meant)
  if (distinct.size > limit) found.push(finding('over_full', [], limit, distinct.size))
  const complete = confirmed || pooling.short_pool === 'allow' || oneHousehold || !anyShared
  if (distinct.size < limit && !complete) found.push(finding('short', [], limit, distinct.size))
  return found
}

/** Who is in a tube with whom. One person alone is always in good company. */
function company(pooling: Pooling, people: readonly Member[]): Finding[] {
  const distinct = new Set(people.map((member) => member.person))
  if (distinct.size === 1) return []
  const rules = people.map((member) => ({ member, rule: ruleFor(pooling, member) }))
  const bound = (sharing: Sharing): string[] =>
    [...new Set(rules.filter((one) => one.rule.sharing === sharing).map((one) => one.member.person))].sort()
  const households = new Set(people.map((member) => member.household ?? ''))
  const streets = new Set(people.map((member) => member.street ?? '').filter(Boolean))
  const alone = bound('nobody')
  const home = bound('household')
  const street = bound('street')
  const found: Finding[] = []
  if (alone.length > 0) found.push(finding('key_group_pooled', alone, 1, distinct.size))
  if (home.length > 0 && (households.size > 1 || households.has(''))) {
    found.push(finding('mixed_households', home, 1, households.size))
  }
  if (street.length > 0 && streets.size > 1) found.push(finding('mixed_streets', street, 1, streets.size))
  const shared = new Set(rules.filter((one) => one.rule.sharing !== 'nobody').map((one) => one.rule.code))
  if (shared.size > 1) found.push(finding('rules_mixed', [], 1, shared.size))
  return found
}

function timing(pooling: Pooling, minutesOpen: number | null): Finding[] {
  if (minutesOpen === null || minutesOpen <= pooling.open_minutes) return []
  return [finding('open_too_long', [], pooling.open_minutes, Math.round(minutesOpen))]
}
