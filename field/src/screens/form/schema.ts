/**
 * A kind's JSON schema as questions that a screen can ask, and answers back as the body of a fact. Plain functions: what is asked, what is
 * filled in by itself, and what is wrong, as codes whose words are `form.error.<code>`.
 */
import { canStore, cleanCode } from '@/core/rules/codes'
import type { Body, FormField, FormKind, FormOption, JsonSchema } from '@/core/types'

export type Ask = 'text' | 'number' | 'choice' | 'boolean' | 'time' | 'codes' | 'code' | 'person' | 'unknown'
export type Fill = NonNullable<FormField['fill']>

export interface Question {
  name: string
  ask: Ask
  /** From the place and the worker; not asked. */
  fill: Fill | null
  label: FormOption
  hint: FormOption | null
  required: boolean
  whole: boolean
  min: number | null
  max: number | null
  minLength: number
  maxLength: number
  pattern: RegExp | null
  options: { value: string | number; label: FormOption }[]
  start: unknown
}

export type Answers = Record<string, unknown>
/** What fills references: a number or a login, or null where it is not chosen. */
export type Context = Partial<Record<Fill, number | string | null>>

/** The part of a `$ref` or of an `X or null` that says something, and whether null will do. */
export function settle(schema: JsonSchema, defs: Record<string, JsonSchema>): { schema: JsonSchema; nullable: boolean } {
  if (schema.$ref) {
    const found = defs[schema.$ref.split('/').at(-1) ?? '']
    return found ? settle({ ...found, ...without(schema, '$ref') }, defs) : { schema: {}, nullable: false }
  }
  if (schema.anyOf) {
    const real = schema.anyOf.filter((one) => one.type !== 'null')
    const first = real[0] ? settle(real[0], defs) : { schema: {}, nullable: false }
    return { schema: { ...without(schema, 'anyOf'), ...first.schema }, nullable: real.length < schema.anyOf.length || first.nullable }
  }
  if (Array.isArray(schema.type)) {
    const types = schema.type.filter((one) => one !== 'null')
    return { schema: { ...without(schema, 'type'), ...(types[0] ? { type: types[0] } : {}) }, nullable: types.length < schema.type.length }
  }
  return { schema, nullable: false }
}

function without(schema: JsonSchema, name: keyof JsonSchema): JsonSchema {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => key !== name)) as JsonSchema
}

const CODE_FILLS: readonly Fill[] = ['tube', 'box']
const CONTEXT_FILLS: readonly Fill[] = ['round', 'site', 'station', 'login']

export function questions(form: FormKind): Question[] {
  const defs = form.schema.$defs ?? {}
  const required = new Set(form.schema.required ?? [])
  return Object.entries(form.schema.properties ?? {}).map(([name, raw]) => {
    const { schema } = settle(raw, defs)
    const field = form.fields[name]
    const fill = field?.fill ?? null
    const label = field?.label ?? { zh: schema.title ?? name, en: schema.title ?? name }
    return {
      name,
      ask: askOf(schema, fill, defs),
      fill: fill !== null && CONTEXT_FILLS.includes(fill) ? fill : null,
      label,
      hint: field?.hint ?? null,
      required: required.has(name),
      whole: schema.type === 'integer',
      min: schema.minimum ?? null,
      max: schema.maximum ?? null,
      minLength: schema.minLength ?? (schema.minItems ?? 0),
      maxLength: schema.maxLength ?? (schema.type === 'array' ? (schema.maxItems ?? 200) : 200),
      pattern: expression(schema.pattern),
      options: (schema.enum ?? []).filter((one) => one !== null).map((value) => ({ value, label: field?.options?.[String(value)] ?? { zh: String(value), en: String(value) } })),
      start: raw.default ?? null,
    }
  })
}

function askOf(schema: JsonSchema, fill: Fill | null, defs: Record<string, JsonSchema>): Ask {
  if (fill === 'person') return 'person'
  if (schema.type === 'array') return settle(schema.items ?? {}, defs).schema.type === 'string' ? 'codes' : 'unknown'
  if (fill !== null && CODE_FILLS.includes(fill)) return 'code'
  if (schema.enum) return 'choice'
  if (schema.type === 'boolean') return 'boolean'
  if (schema.type === 'integer' || schema.type === 'number') return 'number'
  if (schema.type === 'string' && schema.format === 'date-time') return 'time'
  return schema.type === 'string' ? 'text' : 'unknown'
}

function expression(pattern: string | undefined): RegExp | null {
  try {
    return pattern ? new RegExp(pattern) : null
  } catch {
    return null
  }
}

/** Empty answers, with the kind's own defaults. */
export function begin(asked: readonly Question[]): Answers {
  return Object.fromEntries(
    asked.map((one) => {
      if (one.ask === 'codes') return [one.name, []]
      if (one.ask === 'boolean') return [one.name, typeof one.start === 'boolean' ? String(one.start) : '']
      return [one.name, one.start === null ? '' : String(one.start)]
    }),
  )
}

export type Trouble = { code: 'missing' | 'number' | 'whole' | 'min' | 'max' | 'long' | 'short' | 'pattern' | 'time' | 'few' | 'many' | 'code' | 'choose' | 'unknown'; limit?: number }

/** What is wrong with an answer, or null. */
export function trouble(one: Question, answer: unknown, context: Context): Trouble | null {
  if (one.fill !== null) return one.required && (context[one.fill] ?? null) === null ? { code: 'choose' } : null
  if (one.ask === 'unknown') return one.required ? { code: 'unknown' } : null
  if (one.ask === 'codes') {
    const codes = Array.isArray(answer) ? (answer as string[]) : []
    if (codes.length < Math.max(one.minLength, one.required ? 1 : 0)) return { code: 'few', limit: Math.max(1, one.minLength) }
    return codes.length > one.maxLength ? { code: 'many', limit: one.maxLength } : null
  }
  const text = String(answer ?? '').trim()
  if (!text) return one.required ? { code: 'missing' } : null
  if (one.ask === 'number') return numberTrouble(one, text)
  if (one.ask === 'time') return Number.isNaN(Date.parse(text)) ? { code: 'time' } : null
  if (one.ask === 'code') return canStore(cleanCode(text)) ? null : { code: 'code' }
  if (one.ask !== 'text') return null
  if ([...text].length > one.maxLength) return { code: 'long', limit: one.maxLength }
  if ([...text].length < one.minLength) return { code: 'short', limit: one.minLength }
  return one.pattern && !one.pattern.test(text) ? { code: 'pattern' } : null
}

function numberTrouble(one: Question, text: string): Trouble | null {
  const value = Number(text)
  if (!Number.isFinite(value)) return { code: 'number' }
  if (one.whole && !Number.isInteger(value)) return { code: 'whole' }
  if (one.min !== null && value < one.min) return { code: 'min', limit: one.min }
  return one.max !== null && value > one.max ? { code: 'max', limit: one.max } : null
}

/** The body of the fact; what was left empty and may be is left out. */
export function bodyOf(asked: readonly Question[], answers: Answers, context: Context): Body {
  const entries = asked.flatMap((one): [string, unknown][] => {
    if (one.fill !== null) {
      const value = context[one.fill] ?? null
      return value === null ? [] : [[one.name, value]]
    }
    if (one.ask === 'unknown') return []
    const answer = answers[one.name]
    if (one.ask === 'codes') return (answer as string[]).length || one.required ? [[one.name, [...(answer as string[])]]] : []
    const text = String(answer ?? '').trim()
    if (!text) return []
    if (one.ask === 'number') return [[one.name, Number(text)]]
    if (one.ask === 'boolean') return [[one.name, text === 'true']]
    if (one.ask === 'time') return [[one.name, new Date(text).toISOString()]]
    if (one.ask === 'code') return [[one.name, cleanCode(text)]]
    if (one.ask === 'choice') return [[one.name, one.options.find(({ value }) => String(value) === text)?.value ?? text]]
    return [[one.name, text]]
  })
  return Object.fromEntries(entries)
}

/** A moment as the browser's own field wants it: local, to the minute. */
export function localMinute(at: number): string {
  const date = new Date(at - new Date(at).getTimezoneOffset() * 60_000)
  return date.toISOString().slice(0, 16)
}
