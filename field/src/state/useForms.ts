import { computed, type ComputedRef } from 'vue'
import type { FormKind } from '@/core/types'
import { shown } from './phone'

export interface Forms {
  forms: ComputedRef<FormKind[]>
  form(kind: string): FormKind | null
}

const forms: Forms = {
  forms: computed(() => shown.forms.value),
  form: (kind) => shown.forms.value.find((one) => one.kind === kind) ?? null,
}

/** Kinds of fact that the generic form can report. */
export function useForms(): Forms {
  return forms
}
