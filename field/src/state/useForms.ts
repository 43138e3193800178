import { computed, type ComputedRef } from 'vue'
import type { FormKind } from '@/core/types'

export interface Forms {
  forms: ComputedRef<FormKind[]>
  form(kind: string): FormKind | null
}

/** Kinds of fact that the generic form can report. */
export function useForms(): Forms {
  return { forms: computed(() => []), form: () => null }
}
