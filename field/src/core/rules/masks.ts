/** What a list may show of a name, a number, a phone. Port of `dabai/people/rules.py`. */
import { HAN } from './names'

const SURNAMES = new Set(
  (
    '欧阳太史端木上官司马东方独孤南宫万俟闻人夏侯诸葛尉迟公羊赫连澹台皇甫宗政濮阳公冶太叔申屠公孙慕容仲孙' +
    '钟离长孙宇文司徒鲜于司空闾丘子车亓官司寇巫马公西颛孙壤驷公良漆雕乐正宰父谷梁拓跋夹谷轩辕令狐段干百里' +
    '呼延东郭南门羊舌微生公户公玉公仪梁丘公仲公上公门公山公坚左丘公伯西门公祖第五公乘贯丘公皙南荣东里东宫' +
    '仲长子书子桑即墨达奚褚师'
  ).match(/../gu),
)
const ANY_HAN = new RegExp(`[${HAN}]`, 'u')

/** A name as lists show it: 张*, 张*三, 欧阳*, 阿***·**提, J*** S****. A single character is hidden. */
export function maskName(name: string): string {
  if (name.includes('·')) {
    const parts = name.split('·')
    const middle = parts.slice(1, -1).map((part) => '*'.repeat([...part].length))
    return [shown(parts[0] ?? '', 1, 0), ...middle, shown(parts.at(-1) ?? '', 0, 1)].join('·')
  }
  if (!ANY_HAN.test(name))
    return name
      .split(' ')
      .map((word) => shown(word, 1, 0))
      .join(' ')
  const characters = [...name]
  const head = characters.length > 2 && SURNAMES.has(characters.slice(0, 2).join('')) ? 2 : 1
  return shown(name, head, characters.length > head + 1 ? 1 : 0)
}

/** `text` with its ends left visible, unless that would leave nothing hidden. */
function shown(text: string, head: number, tail: number): string {
  const characters = [...text]
  const hidden = characters.length - head - tail
  if (hidden <= 0) return '*'.repeat(characters.length)
  return characters.slice(0, head).join('') + '*'.repeat(hidden) + (tail ? characters.slice(-tail).join('') : '')
}

/** A document number as lists show it: 3406**********1234, H1*****78; a short one keeps one character. */
export function maskNumber(number: string): string {
  const ends = number.length >= 15 ? 4 : number.length >= 8 ? 2 : 0
  return shown(number, ends || 1, ends)
}

/** A phone as lists show it: 138****0000; a short or foreign one keeps less. */
export function maskPhone(phone: string): string {
  return phone.length >= 11 ? shown(phone, 3, 4) : shown(phone, 0, 2)
}
