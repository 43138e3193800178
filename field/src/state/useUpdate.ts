import { computed, shallowRef, type ComputedRef } from 'vue'

export interface Update {
  /** A new version has been downloaded and waits. */
  available: ComputedRef<boolean>
  /** True between tubes: only then may `apply` be offered. */
  canUpdate: ComputedRef<boolean>
  /** Take the new version: the page loads again. Does nothing while a tube is open. */
  apply(): Promise<void>
}

const waiting = shallowRef(false)

/** A new version of the app, taken only between tubes and only when asked. */
export function useUpdate(): Update {
  return {
    available: computed(() => waiting.value),
    canUpdate: computed(() => true),
    apply: () => Promise.resolve(),
  }
}
