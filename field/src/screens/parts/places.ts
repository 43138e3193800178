/** Where this phone and its worker may work, in words and as choices. */
import { computed, type ComputedRef } from 'vue'
import { useSession, type Round, type Site } from '@/state'
import { t } from '@/words'

const LABORATORY = 'laboratory'

export interface Places {
  operation: ComputedRef<string>
  drill: ComputedRef<boolean>
  /** Names of the sites of the scope; areas by their code, where no name is known. */
  scope: ComputedRef<string>
  sites: ComputedRef<Site[]>
  /** Rounds that are not over, the running ones first. */
  rounds: ComputedRef<Round[]>
}

const ORDER = ['running', 'make_up', 'closing', 'approved']

export function usePlaces(): Places {
  const { reference, scope, worker } = useSession()
  const roles = computed(() => worker.value?.roles ?? [])
  const atLab = computed(() => roles.value.some((role) => role.startsWith('lab_')))
  const outside = computed(() => !atLab.value || roles.value.some((role) => !role.startsWith('lab_')))
  const named = computed(() => {
    const names = scope.value.map((one) => {
      if (one.site !== null) return reference.value?.sites.find((site) => site.id === one.site)?.name ?? t('places.site', { id: one.site })
      return t('places.area', { code: one.area ?? '—' })
    })
    return [...new Set(names)]
  })
  return {
    operation: computed(() => reference.value?.operation.name ?? t('places.later')),
    drill: computed(() => reference.value?.operation.drill === true),
    scope: computed(() => (named.value.length ? named.value.join(t('places.and')) : t('places.later'))),
    sites: computed(() =>
      (reference.value?.sites ?? []).filter((site) => (site.kind === LABORATORY ? atLab.value || roles.value.length === 0 : outside.value)),
    ),
    rounds: computed(() =>
      (reference.value?.rounds ?? [])
        .filter((round) => ORDER.includes(round.state))
        .sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || b.number - a.number),
    ),
  }
}
