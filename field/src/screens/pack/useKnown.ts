import { computed, onScopeDispose, shallowRef, watch, type ComputedRef } from 'vue'
import { useOutbox, useSession, type OutboxItem } from '@/state'
import { phone, shown } from '@/state/phone'
import { baggedTubes, waitingTubes, withdrawnFacts } from './packing'

export interface KnownTubes {
  /** Known tubes of this place and round that lie in no bag yet. */
  waiting: ComputedRef<string[]>
  /** Tubes in a bag by this phone's facts, and in which. */
  bagged: ComputedRef<Map<string, string>>
  /** How many of the waiting ones this phone sealed itself. */
  own: ComputedRef<number>
}

const PAUSE = 1_500

/** What the system knows of the tubes of this place: this phone's seals, and what other phones are known to have used. */
export function useKnown(): KnownTubes {
  const session = useSession()
  const rows = useOutbox().rows({
    kinds: ['testing.tube_sealed', 'testing.tube_voided', 'testing.tubes_bagged', 'journal.fact_withdrawn'],
    limit: 3_000,
  })
  const heard = shallowRef<ReadonlySet<string>>(new Set())
  let timer: ReturnType<typeof setTimeout> | undefined

  async function listen(): Promise<void> {
    const site = session.site.value?.id ?? null
    const round = session.round.value?.id ?? null
    const found = new Set<string>()
    await phone().db.hints.each((hint) => {
      if (hint.round === round && hint.site === site) found.add(hint.tube)
    })
    heard.value = found
  }
  watch(
    [shown.hints, session.site, session.round],
    () => {
      clearTimeout(timer)
      timer = setTimeout(() => void listen().catch(() => undefined), heard.value.size ? PAUSE : 0)
    },
    { immediate: true },
  )
  onScopeDispose(() => clearTimeout(timer))

  const withdrawn = computed(() => withdrawnFacts(rows.value))
  const tubesOf = (kind: string) =>
    computed(() => {
      const fits = (row: OutboxItem): boolean => row.kind === kind && row.state !== 'refused' && !withdrawn.value.has(row.id)
      const here = ({ body }: OutboxItem): boolean => body?.['site'] === session.site.value?.id && body?.['round'] === session.round.value?.id
      return new Set(rows.value.filter((row) => fits(row) && here(row)).flatMap((row) => (row.tube ? [row.tube] : [])))
    })
  const sealed = tubesOf('testing.tube_sealed')
  const voided = tubesOf('testing.tube_voided')
  const bagged = computed(() => baggedTubes(rows.value))
  const waiting = computed(() => waitingTubes({ sealed: sealed.value, heard: new Set(heard.value) }, bagged.value, voided.value))
  return { waiting, bagged, own: computed(() => waiting.value.filter((tube) => sealed.value.has(tube)).length) }
}
