/**
 * Work that is under way and no fact yet: a bag half full, a count not confirmed. It is written down at every change, so that a killed phone
 * goes on where it was. Codes and counts only, never a person; gone when the phone is lost or belongs to another operation.
 */
import { Dexie, type Table } from 'dexie'
import { onScopeDispose, ref, watch, type Ref } from 'vue'
import { useSession } from '@/state'

class Drafts extends Dexie {
  declare drafts: Table<{ name: string; device: string; value: unknown }, string>

  constructor() {
    super('dabai-field-drafts', { chromeTransactionDurability: 'strict' })
    this.version(1).stores({ drafts: 'name' })
  }
}

let db: Drafts | null = null
const store = (): Table<{ name: string; device: string; value: unknown }, string> => (db ??= new Drafts()).drafts

export interface Draft<T> {
  value: Ref<T>
  /** False until what lay on the phone has been read. */
  ready: Ref<boolean>
  /** Begin again. */
  clear(): void
}

const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T

/** A draft under a name; `initial` is where it starts. */
export function useDraft<T extends object>(name: string, initial: () => T): Draft<T> {
  const session = useSession()
  const device = session.device.value?.id ?? ''
  const value = ref(initial()) as Ref<T>
  const ready = ref(false)
  let writing: Promise<unknown> = Promise.resolve()
  const stopLost = watch(session.lost, (lost) => lost && void store().clear(), { immediate: true })

  void store()
    .get(name)
    .then((found) => {
      if (found?.device === device) value.value = { ...initial(), ...(found.value as T) }
    })
    .catch(() => undefined)
    .finally(() => {
      ready.value = true
    })
  const stop = watch(
    value,
    (now) => {
      if (!ready.value) return
      const copy = plain(now)
      writing = writing.then(() => store().put({ name, device, value: copy })).catch(() => undefined)
    },
    { deep: true, flush: 'sync' },
  )
  onScopeDispose(() => {
    stop()
    stopLost()
  })
  return {
    value,
    ready,
    clear: () => {
      value.value = initial()
    },
  }
}

/** Forget all of it: the phone leaves the operation. */
export async function forgetDrafts(): Promise<void> {
  await store()
    .clear()
    .catch(() => undefined)
}
