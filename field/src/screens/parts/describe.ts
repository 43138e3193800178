/** One line about a fact, from the copy that this phone keeps for its own display. */
import { useForms, useSettings, type OutboxItem } from '@/state'
import type { IconName } from '@/ui/Icon.vue'
import { t, word } from '@/words'

const ICON_OF: Readonly<Record<string, IconName>> = {
  'people.person_registered': 'person',
  'testing.sample_taken': 'tube',
  'testing.late_entry': 'edit',
  'testing.tube_sealed': 'seal',
  'testing.tube_voided': 'trash',
  'testing.sample_moved': 'move',
  'testing.not_sampled': 'door',
  'testing.queue_counted': 'people',
  'testing.tubes_bagged': 'bag',
  'testing.box_packed': 'box',
  'testing.box_sealed': 'seal',
  'testing.box_handed_over': 'truck',
  'testing.box_received': 'lab',
  'testing.tube_rejected': 'stop',
  'journal.fact_withdrawn': 'undo',
}

export const iconOf = (kind: string): IconName => ICON_OF[kind] ?? 'form'
export const nameOf = (kind: string): string => {
  const known = word('kinds', kind)
  return known === kind ? (kind.split('.').at(-1) ?? kind) : known
}

const PLACES = new Set(['round', 'site', 'station', 'lab', 'person'])
const text = (value: unknown): string => (typeof value === 'string' || typeof value === 'number' ? String(value) : '')
const size = (value: unknown): number => (Array.isArray(value) ? value.length : 0)

/** The first answers of a form, with what they answer; not the place, which is the same for all. */
function answers(kind: string, body: Record<string, unknown>): string[] {
  const form = useForms().form(kind)
  const { language } = useSettings().settings
  return Object.entries(body)
    .filter(([name, value]) => !form?.fields[name]?.fill && !PLACES.has(name) && text(value) !== '')
    .map(([name, value]) => {
      const field = form?.fields[name]
      return [field?.label[language], field?.options?.[text(value)]?.[language] ?? text(value)].filter(Boolean).join(' ')
    })
    .filter((one) => one.length < 60)
    .slice(0, 3)
}

/** Codes and counts, masked names; nothing where the copy is sealed or gone. */
export function describe(item: Pick<OutboxItem, 'kind' | 'body' | 'note' | 'tube'>): string {
  const body = item.body
  if (!body) return item.tube ?? t('outbox.sealed')
  const who = [item.note?.name, item.note?.lastFour].filter(Boolean).join(' ')
  const join = (...parts: string[]): string => parts.filter(Boolean).join(' · ')
  switch (item.kind) {
    case 'testing.sample_taken':
    case 'testing.late_entry':
      return join(who, text(body['tube']))
    case 'people.person_registered':
      return who || t('common.nobody')
    case 'testing.tube_sealed':
      return join(text(body['tube']), t('sample.people_n', { n: text(body['people']) }))
    case 'testing.tubes_bagged':
      return join(text(body['bag']), t('pack.tubes_n', { n: size(body['tubes']) }))
    case 'testing.box_packed':
      return join(
        text(body['box']),
        size(body['bags']) ? t('pack.bags_n', { n: size(body['bags']) }) : '',
        size(body['tubes']) ? t('pack.tubes_n', { n: size(body['tubes']) }) : '',
      )
    case 'testing.box_sealed':
    case 'testing.box_received':
      return join(text(body['box']), t('pack.tubes_n', { n: text(body['tubes']) }))
    case 'testing.box_handed_over':
      return join(text(body['box']), t('pack.tubes_n', { n: text(body['tubes']) }), `${text(body['given_by'])} → ${text(body['taken_by'])}`)
    case 'testing.tube_rejected':
      return join(text(body['tube']), t(`reject.${text(body['reason'])}`))
    case 'testing.not_sampled':
      return join(who, text(body['reason']) || word('not_sampled', text(body['outcome'])))
    case 'journal.fact_withdrawn':
      return text(body['reason'])
    default:
      return join(item.tube ?? '', ...answers(item.kind, body)) || t('outbox.saved')
  }
}
