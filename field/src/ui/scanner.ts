/**
 * A hand scanner or a card reader is a keyboard that types very quickly and ends with Enter. `Burst` tells it from a person; `useScanner`
 * listens on the whole window, so that nothing needs the focus, and takes what was typed out of a field that had it.
 */
import { onBeforeUnmount, onMounted } from 'vue'

/** Between two characters of a reader there is less than this (ms). */
const GAP = 80
/** On average less than this: nobody types 25 characters a second. */
const MEAN = 40
const SHORTEST = 5
/** A reader that sends no Enter: so long a silence ends a long, very quick burst. */
const SILENCE = 120
const LONG = 10

export class Burst {
  private text = ''
  private first = 0
  private last = 0

  /** One character at `at` (ms). True once what has come so far can only be a reader. */
  put(character: string, at: number): boolean {
    if (at - this.last > GAP) {
      this.text = ''
      this.first = at
    }
    this.text += character
    this.last = at
    return this.text.length >= SHORTEST && this.quick()
  }

  /** What was read, if Enter at `at` ends a burst; null if a person typed. */
  end(at: number): string | null {
    const read = this.text.length >= SHORTEST && at - this.last <= GAP && this.quick() ? this.text : null
    this.clear()
    return read
  }

  /** What was read, if nothing has come for a while after a long burst. */
  silent(at: number): string | null {
    const read = this.text.length >= LONG && at - this.last >= SILENCE - 5 && this.quick() ? this.text : null
    if (read !== null) this.clear()
    return read
  }

  get length(): number {
    return this.text.length
  }

  clear(): void {
    this.text = ''
    this.first = 0
    this.last = 0
  }

  private quick(): boolean {
    return (this.last - this.first) / Math.max(1, this.text.length - 1) <= MEAN
  }
}

/** The character of a key, also while an input method swallows it. */
export function characterOf(event: Pick<KeyboardEvent, 'key' | 'code' | 'shiftKey'>): string | null {
  if (event.key.length === 1) return event.key
  if (event.key !== 'Process' && event.key !== 'Unidentified') return null
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code)
  if (digit) return digit[1] ?? null
  const letter = /^Key([A-Z])$/.exec(event.code)
  if (letter) return letter[1] ?? null
  return event.code === 'Minus' ? '-' : null
}

type Field = HTMLInputElement | HTMLTextAreaElement
const isField = (element: unknown): element is Field =>
  element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement

const listeners: ((text: string) => void)[] = []

/** Calls `heard` with what a reader typed, while the component is mounted; the last one mounted wins. */
export function useScanner(heard: (text: string) => void): void {
  const burst = new Burst()
  let field: { element: Field; value: string } | null = null
  let wait: ReturnType<typeof setTimeout> | undefined

  function take(text: string): void {
    // What the reader typed into a field is not what was meant for that field.
    if (field && field.element.value !== field.value) {
      field.element.value = field.value
      field.element.dispatchEvent(new Event('input', { bubbles: true }))
    }
    field = null
    heard(text.trim())
  }

  function key(event: KeyboardEvent): void {
    if (listeners.at(-1) !== heard || event.ctrlKey || event.altKey || event.metaKey) return
    clearTimeout(wait)
    if (event.key === 'Enter' || event.key === 'Tab') {
      const text = burst.end(event.timeStamp)
      if (text === null) return
      event.preventDefault()
      event.stopImmediatePropagation()
      take(text)
      return
    }
    const character = characterOf(event)
    if (character === null) return
    const active = document.activeElement
    const before = isField(active) ? { element: active, value: active.value } : null
    const fresh = field === null || field.element !== before?.element
    const reader = burst.put(character, event.timeStamp)
    if (burst.length === 1 || fresh) field = before
    // A space that a reader types must not press the button that has the focus.
    if (reader && !before) event.preventDefault()
    wait = setTimeout(() => {
      const text = burst.silent(performance.now())
      if (text !== null) take(text)
    }, SILENCE)
  }

  onMounted(() => {
    listeners.push(heard)
    window.addEventListener('keydown', key, true)
  })
  onBeforeUnmount(() => {
    clearTimeout(wait)
    const at = listeners.lastIndexOf(heard)
    if (at >= 0) listeners.splice(at, 1)
    window.removeEventListener('keydown', key, true)
  })
}
