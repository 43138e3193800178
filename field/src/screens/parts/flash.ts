/** What came of the last scan: said once, large, gone after a while. */
import { onScopeDispose, shallowRef, type ShallowRef } from 'vue'

export interface Said {
  tone: 'done' | 'warn' | 'stop'
  text: string
}

const LASTS = 6_000

export function useFlash(): { said: ShallowRef<Said | null>; say(tone: Said['tone'], text: string): void } {
  const said = shallowRef<Said | null>(null)
  let timer: ReturnType<typeof setTimeout> | undefined
  onScopeDispose(() => clearTimeout(timer))
  return {
    said,
    say(tone, text) {
      clearTimeout(timer)
      said.value = { tone, text }
      timer = setTimeout(() => (said.value = null), LASTS)
    },
  }
}
