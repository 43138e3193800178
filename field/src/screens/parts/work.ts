/** Which work places a worker has on this phone: by what the roles may report, and where the phone may work. */
import { computed, type ComputedRef } from 'vue'
import { useSession } from '@/state'
import type { IconName } from '@/ui/Icon.vue'

export type WorkPlace = 'sample' | 'door' | 'pack' | 'carry' | 'receive' | 'late' | 'tubes' | 'form'

/** Mirrors `REPORTS` of `dabai/access/rules.py`; the server judges each fact by itself. */
const BY_ROLE: Readonly<Record<string, readonly WorkPlace[]>> = {
  registrar: ['sample', 'tubes', 'late', 'pack', 'door', 'form'],
  packer: ['pack', 'carry'],
  courier: ['carry'],
  lab_technician: ['receive', 'form'],
  lab_reviewer: ['receive', 'form'],
  grid_worker: ['door', 'form'],
  round_manager: ['sample', 'pack', 'carry', 'door', 'tubes', 'late', 'form'],
}
const ALL: readonly WorkPlace[] = ['sample', 'door', 'pack', 'carry', 'receive', 'tubes', 'late', 'form']

export const ICONS: Readonly<Record<WorkPlace, IconName>> = {
  sample: 'tube',
  door: 'door',
  pack: 'box',
  carry: 'truck',
  receive: 'lab',
  late: 'edit',
  tubes: 'list',
  form: 'form',
}
export const PATHS: Readonly<Record<WorkPlace, string>> = {
  sample: '/sample',
  door: '/door',
  pack: '/pack',
  carry: '/carry',
  receive: '/receive',
  late: '/late-entry',
  tubes: '/tubes',
  form: '/form',
}

/** In order of importance. Somebody signed on without the server has no roles yet: then the place alone decides. */
export function placesFor(roles: readonly string[], siteKind: string | null): WorkPlace[] {
  const mine = roles.length ? new Set(roles.flatMap((role) => BY_ROLE[role] ?? [])) : new Set(ALL)
  const found = ALL.filter((one) => mine.has(one)).filter((one) => {
    if (siteKind === null) return true
    if (siteKind === 'laboratory') return one === 'receive' || one === 'form'
    return roles.length > 0 || one !== 'receive'
  })
  // A mixed team at the wrong place still needs a way to work.
  const first: WorkPlace[] = siteKind === 'laboratory' ? ['receive'] : siteKind === 'door_team' ? ['door'] : []
  const home = roles.length === 1 ? BY_ROLE[roles[0] ?? '']?.[0] : undefined
  const order = [...first, ...(home ? [home] : []), ...found]
  return [...new Set(order)].filter((one) => mine.has(one))
}

export function useWork(): ComputedRef<WorkPlace[]> {
  const { worker, site } = useSession()
  return computed(() => placesFor(worker.value?.roles ?? [], site.value?.kind ?? null))
}
