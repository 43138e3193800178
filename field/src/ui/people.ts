/** How a person of the slice is shown. */
import type { SliceRow } from '@/state'

/** Estate, building and unit, as far as known. */
export function whereOf(row: Pick<SliceRow, 'estate' | 'building' | 'unit'>): string {
  return [row.estate, row.building, row.unit].filter(Boolean).join(' ')
}
