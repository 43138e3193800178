/**
 * The one-time code that makes a phone part of an operation: eight characters without look-alikes and a check character,
 * shown as `K7M-2QX-94T`. The rules are those of `dabai/access/codes.py`, so a slip of the finger is told before anything is sent.
 */
import { checkCharacter } from '@/core/rules/codes'

export const LENGTH = 9
const ALPHABET = '23456789ABCDEFGHJKMNPQRSTVWXYZ'

export interface Typed {
  /** What counts, in capitals, at most nine characters. */
  code: string
  /** Characters that no pairing code has: 0 O 1 I L U. */
  strange: string
}

/** What somebody typed or scanned: the code itself, with or without dashes, or the address in a pairing QR. */
export function readTyped(text: string): Typed {
  const asked = /[?&]code=([^&#]*)/.exec(text)
  let given = text
  try {
    given = asked ? decodeURIComponent(asked[1] ?? '') : text
  } catch {
    given = asked?.[1] ?? text
  }
  const characters = [...given.normalize('NFKC').toUpperCase()].filter((one) => /[0-9A-Z]/.test(one))
  return {
    code: characters.filter((one) => ALPHABET.includes(one)).slice(0, LENGTH).join(''),
    strange: [...new Set(characters.filter((one) => !ALPHABET.includes(one)))].join(' '),
  }
}

export type Verdict = 'short' | 'mistyped' | 'good'

export function judge(code: string): Verdict {
  if (code.length < LENGTH) return 'short'
  return checkCharacter(code.slice(0, -1)) === code.at(-1) ? 'good' : 'mistyped'
}
