import { computed, shallowRef, type ComputedRef } from 'vue'
import { shown } from './phone'
import { useTube } from './useTube'

export interface Update {
  /** A new version has been downloaded and waits. */
  available: ComputedRef<boolean>
  /** True between tubes: only then may `apply` be offered. */
  canUpdate: ComputedRef<boolean>
  /** Take the new version: the page loads again. Does nothing while a tube is open. */
  apply(): Promise<void>
}

const waiting = shallowRef<ServiceWorker | null>(null)
const { tube } = useTube()
// An outdated tab can write nothing any more: what is in its hand lies in the outbox.
const canUpdate = computed(() => tube.value === null || shown.outdated.value)
let asked = false

/** Let the browser keep the app, and notice when a new version has come. Nothing is taken over by itself. */
export async function registerApp(): Promise<void> {
  if (!('serviceWorker' in navigator)) return
  const registration = await navigator.serviceWorker.register('/field/worker.js', { scope: '/field/' })
  const look = (): void => {
    // Without a controller this is the first installation, not an update.
    waiting.value = navigator.serviceWorker.controller ? registration.waiting : null
  }
  look()
  registration.addEventListener('updatefound', () => registration.installing?.addEventListener('statechange', look))
  let controlled = navigator.serviceWorker.controller !== null
  navigator.serviceWorker.addEventListener('controllerchange', () => {
    if (asked) location.reload()
    // Another tab took the new version: what this one has not loaded yet is gone. It says so, and waits to be asked.
    else if (controlled) shown.outdated.value = true
    controlled = true
  })
  window.addEventListener('vite:preloadError', () => (shown.outdated.value = true))
  setInterval(() => void registration.update().catch(() => undefined), 30 * 60_000)
}

const update: Update = {
  available: computed(() => waiting.value !== null || shown.outdated.value),
  canUpdate,
  apply() {
    if (shown.outdated.value) location.reload()
    else if (waiting.value && canUpdate.value) {
      asked = true
      waiting.value.postMessage({ type: 'SKIP_WAITING' })
    }
    return Promise.resolve()
  },
}

/** A new version of the app, taken only between tubes and only when asked. */
export function useUpdate(): Update {
  return update
}
