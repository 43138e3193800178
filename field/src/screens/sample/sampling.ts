/**
 * What happens when something is scanned at the sampling table. Everything that is heard goes through one queue, so that two quick scans never
 * meet; a question waits in `ask` and blocks nobody: the next scan answers or replaces it.
 */
import { computed, getCurrentScope, onScopeDispose, ref, shallowRef, watch } from 'vue'
import { cleanCode, readResidentCode, whatIs } from '@/core/rules/codes'
import { cleanNumber, guessKind } from '@/core/rules/documents'
import { numberClip, signal, type Clip, type Tone } from '@/sound'
import { useSession, useSlice, useTube, type SliceRow, type Swabbed, type TubePerson, type Warning } from '@/state'
import { complaint, known, prepareWords, t, word } from '@/words'
import { clock } from '@/ui/now'

/** One tap takes the last person out again for so long (ms). */
export const UNDO_MS = 10_000

export interface Said {
  tone: 'done' | 'warn' | 'stop'
  text: string
  sub?: string
  /** Changes with every message, so that the same words twice are seen twice. */
  id: number
}

/** A question that is open. */
export type Ask =
  | { kind: 'tube'; code: string; warning: Warning; single: boolean }
  | { kind: 'seal'; next: string | null }
  | { kind: 'single'; who: Swabbed; name: string; group: string }
  | { kind: 'full'; who: Swabbed; name: string }
  | { kind: 'register'; number: string; name: string }

export type Heard =
  | { is: 'tube'; code: string }
  | { is: 'other'; kind: 'box' | 'bag'; code: string }
  | { is: 'person'; who: Swabbed }
  | { is: 'number'; number: string }
  | { is: 'broken' }
  | { is: 'unknown'; text: string }

/** What a text is at this table: by its own form first, then by what the round's tubes look like. Pure. */
export function understand(text: string, tubePattern: string | null, tubeOpen: boolean): Heard {
  const code = cleanCode(text)
  const kind = whatIs(code)
  if (kind === 'tube') return { is: 'tube', code }
  if (kind === 'box' || kind === 'bag') return { is: 'other', kind, code }
  if (kind === 'resident') {
    try {
      return { is: 'person', who: { person: readResidentCode(code) } }
    } catch {
      return { is: 'broken' }
    }
  }
  if (kind === 'hand_over' || kind === 'pairing') return { is: 'unknown', text }
  const number = cleanNumber(text)
  if (/^(?:[0-9]{15}|[0-9]{17}[0-9X])$/.test(number)) return { is: 'number', number }
  if (tubePattern && new RegExp(`^(?:${tubePattern})$`).test(code)) return { is: 'tube', code }
  // One of ours with a wrong check character; whoever opens it is asked to look.
  if (/^T[0-9A-Z]{11}$/.test(code)) return { is: 'tube', code }
  if (!tubeOpen) return { is: 'tube', code }
  if (!['00', '99'].includes(guessKind(number))) return { is: 'number', number }
  return { is: 'unknown', text }
}

const CLIPS: Partial<Record<Warning['code'], Clip>> = {
  tube_used: 'tube_used',
  tube_used_here: 'tube_used',
  wrong_kind: 'bad_code',
  code_suspect: 'check_code',
  code_invalid: 'check_code',
  same_person_again: 'again',
  already_sampled: 'sampled',
  in_tube_already: 'in_tube',
  number_doubtful: 'bad_number',
  over_full: 'over_full',
  key_group_pooled: 'single',
  mixed_households: 'mixed',
  mixed_streets: 'mixed',
  rules_mixed: 'mixed',
  open_too_long: 'too_long',
  short: 'short',
}
/** The most telling first; one is spoken, all are written. */
const ORDER: readonly Warning['code'][] = [
  'over_full',
  'key_group_pooled',
  'already_sampled',
  'mixed_households',
  'mixed_streets',
  'rules_mixed',
  'number_doubtful',
  'code_suspect',
  'code_invalid',
]
/** Said nowhere: knowing somebody only by their code is no mistake of anybody. */
const QUIET: readonly Warning['code'][] = ['outside_slice', 'full']

export function loudest(warnings: readonly Warning[]): Warning | null {
  const loud = warnings.filter(({ code }) => !QUIET.includes(code))
  const rank = ({ code }: Warning): number => (ORDER.includes(code) ? ORDER.indexOf(code) : ORDER.length)
  return [...loud].sort((a, b) => rank(a) - rank(b))[0] ?? null
}

/** A warning as a sentence. */
export function warningText({ code, values }: Warning): string {
  if (code === 'already_sampled' && typeof values['at'] === 'number') {
    return t('warning.already_sampled_at', { time: clock(values['at']) })
  }
  const key = `warning.${code}`
  return known(key) ? t(key, values) : word('pools', code, values)
}

export function useSampling() {
  prepareWords()
  const tube = useTube()
  const slice = useSlice()
  const session = useSession()
  const said = shallowRef<Said | null>(null)
  const ask = shallowRef<Ask | null>(null)
  const undoable = shallowRef<{ sample: string; until: number } | null>(null)
  const busy = ref(false)
  const flash = ref(0)
  /** Somebody who waits for the next tube: one of their own (`single`), or any. */
  const waiting = shallowRef<{ who: Swabbed; name: string; single: boolean } | null>(null)
  const sealed = shallowRef<{ code: string; people: number; at: number } | null>(null)
  /** The tube that was left for somebody's own, and is gone on with afterwards. */
  let resume: string | null = null
  let count = 0
  let quiet: ReturnType<typeof setTimeout> | undefined

  function say(tone: Said['tone'], text: string, sub?: string): void {
    clearTimeout(quiet)
    said.value = { tone, text, id: ++count, ...(sub ? { sub } : {}) }
    // Good news goes by itself; a warning stays until the next scan.
    if (tone === 'done') quiet = setTimeout(() => (said.value = null), 4000)
  }

  function tell(tone: Tone, ...clips: Clip[]): void {
    signal(tone, ...clips)
  }

  // ---- one thing after the other ---------------------------------------------------------------------------------
  let line: Promise<unknown> = Promise.resolve()
  function inTurn(work: () => Promise<void>): Promise<void> {
    const turn = line.then(async () => {
      busy.value = true
      try {
        await work()
      } catch (error) {
        tell('refuse', 'failed')
        say('stop', t('sample.not_saved'), complaint(error))
      } finally {
        busy.value = false
      }
    })
    line = turn
    return turn
  }

  // ---- what is heard ---------------------------------------------------------------------------------------------
  function heard(text: string): Promise<void> {
    return inTurn(() => take(text))
  }

  async function take(text: string): Promise<void> {
    if (!text) return
    const found = understand(text, session.round.value?.codes.tube_pattern ?? null, tube.tube.value !== null)
    switch (found.is) {
      case 'tube':
        return takeTube(found.code)
      case 'other':
        if (!tube.tube.value) return takeTube(found.code)
        tell('warn', found.kind === 'box' ? 'box_code' : 'bag_code')
        return say('warn', t(`ask.kind_${found.kind}`, { tube: found.code }))
      case 'person': {
        const row = 'person' in found.who ? slice.byId(found.who.person) : null
        return takePerson(row ? { row } : found.who)
      }
      case 'number':
        return takeNumber(found.number)
      case 'broken':
        tell('refuse', 'bad_code')
        return say('stop', t('sample.unreadable', { text: text.slice(0, 40) }))
      case 'unknown': {
        const row = await slice.find(text)
        if (row) return takePerson({ row })
        tell('refuse', 'bad_code')
        return say('stop', t('sample.unreadable', { text: text.slice(0, 40) }))
      }
    }
  }

  // ---- tubes -----------------------------------------------------------------------------------------------------
  async function takeTube(code: string): Promise<void> {
    const now = tube.tube.value
    if (now === code) {
      tell('soft')
      return say('done', t('sample.same_tube'))
    }
    if (now && tube.count.value > 0 && waiting.value === null) {
      ask.value = { kind: 'seal', next: code }
      return tell(tube.full.value ? 'accept' : 'warn', ...(tube.full.value ? [] : (['short'] as const)))
    }
    if (now && tube.count.value === 0) await tube.putAway()
    await openTube(code, false)
  }

  async function openTube(code: string, confirmed: boolean): Promise<void> {
    const single = waiting.value?.single ?? false
    const left = tube.count.value > 0 ? tube.tube.value : null
    let opening
    try {
      opening = await tube.open(code, { confirmed, single })
    } catch (error) {
      tell('refuse', 'bad_code')
      return say('stop', complaint(error))
    }
    const first = opening.warnings[0]
    if (!opening.opened && first) {
      const other = first.values['found']
      const clip =
        first.code === 'wrong_kind' && (other === 'box' || other === 'bag')
          ? (`${other}_code` as const)
          : CLIPS[first.code]
      tell('warn', ...(clip ? [clip] : []))
      ask.value = { kind: 'tube', code, warning: first, single }
      return
    }
    ask.value = null
    undoable.value = null
    sealed.value = null
    resume = left
    const next = waiting.value
    waiting.value = null
    if (first) {
      tell('warn', CLIPS[first.code] ?? 'check_code')
      say('warn', warningText(first), code)
    } else {
      said.value = null
      if (!next) tell('accept', 'tube_open')
    }
    if (next) await write(next.who)
  }

  // ---- people ----------------------------------------------------------------------------------------------------
  async function takeNumber(number: string): Promise<void> {
    const row = await slice.find(number)
    if (row) return takePerson({ row })
    if (!needTube()) return
    const name = ask.value?.kind === 'register' ? ask.value.name : ''
    tell('warn', 'register')
    ask.value = { kind: 'register', number, name }
  }

  function needTube(): boolean {
    if (tube.tube.value) return true
    tell('refuse', 'tube_first')
    say('stop', t('sample.tube_first'))
    return false
  }

  async function takePerson(who: Swabbed): Promise<void> {
    if (!needTube()) return
    if (ask.value?.kind === 'register' && !('unknown' in who)) {
      // Somebody stands half written down; the next one waits.
      tell('refuse', 'register')
      return
    }
    const found = tube.check(who)
    const has = (code: Warning['code']): boolean => found.some((one) => one.code === code)
    if (has('same_person_again') || has('in_tube_already')) {
      const again = has('same_person_again')
      tell('soft', again ? 'again' : 'in_tube')
      return say('warn', t(again ? 'warning.same_person_again' : 'warning.in_tube_already'), nameOf(who))
    }
    const row = 'row' in who ? who.row : null
    if (tube.full.value) {
      tell('warn', 'full')
      ask.value = { kind: 'full', who, name: nameOf(who) }
      return
    }
    if (has('key_group_pooled') && row && tube.count.value > 0) {
      tell('warn', 'single')
      ask.value = { kind: 'single', who, name: nameOf(who), group: word('groups', row.group) }
      return
    }
    await write(who)
  }

  /** The swab has happened: it is written, whatever there is to say about it. */
  async function write(who: Swabbed): Promise<void> {
    waiting.value = null
    const added = await tube.add(who)
    ask.value = null
    undoable.value = { sample: added.sample, until: Date.now() + UNDO_MS }
    flash.value += 1
    const warning = loudest(added.warnings)
    const number = numberClip(tube.count.value)
    if (warning) {
      const clip = CLIPS[warning.code]
      tell('warn', ...(clip ? [clip] : []))
      say('warn', warningText(warning), t('warning.written'))
    } else if (tube.full.value) {
      tell('full', ...number, 'full')
      said.value = null
    } else {
      tell('accept', ...number)
      said.value = null
    }
  }

  function nameOf(who: Swabbed): string {
    if ('row' in who) return `${who.row.name} ${who.row.lastFour}`
    return 'unknown' in who ? who.unknown.name : ''
  }

  // ---- what buttons do -------------------------------------------------------------------------------------------
  const actions = {
    heard,
    pick: (row: SliceRow) => inTurn(() => takePerson({ row })),
    number: (number: string) => inTurn(() => takeNumber(number)),
    /** Somebody at a door: into the open tube, or into the next one that is scanned. */
    arrive: (person: string) =>
      inTurn(async () => {
        const row = slice.byId(person)
        const who: Swabbed = row ? { row } : { person }
        if (tube.tube.value) return takePerson(who)
        waiting.value = { who, name: nameOf(who), single: false }
        tell('soft')
      }),
    /** Somebody who is on no list. */
    register: (one: { name: string; number?: string; kind?: string; phone?: string }) =>
      inTurn(() => (needTube() ? takePerson({ unknown: one }) : Promise.resolve())),
    /** Yes to the open question. */
    openAnyway: () =>
      inTurn(async () => {
        if (ask.value?.kind === 'tube') await openTube(ask.value.code, true)
      }),
    addAnyway: () =>
      inTurn(async () => {
        const open = ask.value
        if (open?.kind === 'single' || open?.kind === 'full') await write(open.who)
      }),
    /** Leaves the tube as it is and opens the next one for one person. */
    ownTube: () => {
      const open = ask.value
      if (open?.kind !== 'single') return
      waiting.value = { who: open.who, name: open.name, single: true }
      ask.value = null
      say('warn', t('single.scan_new', { name: open.name }))
    },
    seal: (reason: string, next: string | null) =>
      inTurn(async () => {
        const code = tube.tube.value
        const people = tube.count.value
        if (!code) return
        await tube.seal(reason)
        ask.value = null
        undoable.value = null
        said.value = null
        sealed.value = { code, people, at: Date.now() }
        if (next) return openTube(next, false)
        if (resume) {
          const back = resume
          resume = null
          await tube.open(back, { confirmed: true })
          say('done', t('single.back', { tube: back }))
        }
        tell('done', 'sealed')
      }),
    undo: (sample?: string, reason?: string) =>
      inTurn(async () => {
        const one = sample ? tube.people.value.find((each) => each.sample === sample) : tube.last.value
        await tube.undo(sample, reason)
        undoable.value = null
        tell('done', 'undone')
        say('done', t('sample.undone', { name: one?.name || t('common.nobody') }))
      }),
    move: (one: TubePerson, to: string, reason: string) =>
      inTurn(async () => {
        await tube.move(one.sample, to, reason)
        undoable.value = null
        tell('done', 'moved')
        say('done', t('sample.moved', { name: one.name || t('common.nobody'), tube: to }))
      }),
    void: (reason: string) =>
      inTurn(async () => {
        const code = tube.tube.value
        await tube.void(reason)
        undoable.value = null
        tell('done', 'voided')
        say('done', t('sample.voided', { tube: code }))
      }),
    putAway: () =>
      inTurn(async () => {
        await tube.putAway()
        tell('soft')
        say('done', t('sample.put_away_done'))
      }),
    askSeal: () => (ask.value = { kind: 'seal', next: null }),
    askRegister: (name = '', number = '') => (ask.value = { kind: 'register', number, name }),
    dismiss: () => {
      ask.value = null
    },
    forgetWaiting: () => {
      waiting.value = null
    },
    clearSaid: () => {
      said.value = null
    },
  }

  // ---- a tube that stands open too long --------------------------------------------------------------------------
  const tooLong = computed(() => tube.warnings.value.some(({ code }) => code === 'open_too_long'))
  const stop = watch(tooLong, (now) => {
    if (now) tell('warn', 'too_long')
  })
  if (getCurrentScope()) {
    onScopeDispose(() => {
      stop()
      clearTimeout(quiet)
    })
  }

  const edge = computed<'none' | 'warn' | 'stop' | 'done'>(() => {
    if (said.value?.tone === 'stop' || tooLong.value) return 'stop'
    if (said.value?.tone === 'warn') return 'warn'
    return tube.full.value ? 'done' : 'none'
  })

  return { tube, session, slice, said, ask, undoable, busy, flash, waiting, sealed, tooLong, edge, ...actions }
}

export type Sampling = ReturnType<typeof useSampling>
