import { computed, shallowRef, type ComputedRef } from 'vue'
import type { Swabbed, TubePerson, Uuid, Warning } from '@/core/types'

/** What came of scanning a tube. `opened` false: it was not opened; ask, then call `open` again with `confirmed`. */
export interface Opening {
  opened: boolean
  warnings: Warning[]
}

/** What came of adding somebody: the sample's id and what to say about it. The swab is written in any case. */
export interface Added {
  sample: Uuid
  person: TubePerson
  warnings: Warning[]
}

export interface TubeState {
  /** The code of the open tube, or null. */
  tube: ComputedRef<string | null>
  count: ComputedRef<number>
  /** How many may share this tube: the round's size, or less by the rules of who is in it. */
  limit: ComputedRef<number>
  full: ComputedRef<boolean>
  /** In order of swabbing. */
  people: ComputedRef<TubePerson[]>
  last: ComputedRef<TubePerson | null>
  /** Of the first swab (ms), else of opening; null without a tube. */
  openedAt: ComputedRef<number | null>
  /** Whole minutes since `openedAt`; ticks. */
  minutesOpen: ComputedRef<number>
  /** About the tube as it is now. */
  warnings: ComputedRef<Warning[]>
  /** Throws `Refusal` (`codes.…`) only for a text that no label carries. Wrong kind, used tube: asks first. */
  open(code: string, options?: { confirmed?: boolean; single?: boolean }): Promise<Opening>
  /** What would be said about this person, without writing anything. */
  check(who: Swabbed): Warning[]
  /** Durable when it resolves. Throws only without an open tube, round or site. */
  add(who: Swabbed): Promise<Added>
  /** Withdraw the last swab (or this one). */
  undo(sample?: Uuid, reason?: string): Promise<void>
  move(sample: Uuid, toTube: string, reason: string): Promise<void>
  /** `reason`: why fewer than the limit. */
  seal(reason?: string): Promise<void>
  void(reason: string): Promise<void>
  /** Put an empty tube away without a fact; a tube with people stays open. */
  putAway(): Promise<void>
  /** Somebody found to be in a sealed tube; `second` is who saw it. */
  lateEntry(tube: string, who: Swabbed, reason: string, second: string): Promise<Uuid>
}

const soon = () => Promise.reject(new Error('soon'))
const tube = shallowRef<string | null>(null)

/** The tube in the hand: who is in it, what to say about it. Rebuilt from the outbox after a kill. */
export function useTube(): TubeState {
  return {
    tube: computed(() => tube.value),
    count: computed(() => 0),
    limit: computed(() => 10),
    full: computed(() => false),
    people: computed(() => []),
    last: computed(() => null),
    openedAt: computed(() => null),
    minutesOpen: computed(() => 0),
    warnings: computed(() => []),
    open: soon,
    check: () => [],
    add: soon,
    undo: soon,
    move: soon,
    seal: soon,
    void: soon,
    putAway: soon,
    lateEntry: soon,
  }
}
