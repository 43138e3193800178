/** Times as people say them: today by the clock, else with the day. */
import { useSettings } from '@/state'
import { clock } from '@/ui/now'

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** 3月13日, or 13 Mar. */
export function day(at: number): string {
  const date = new Date(at)
  return useSettings().settings.language === 'zh'
    ? `${date.getMonth() + 1}月${date.getDate()}日`
    : `${date.getDate()} ${MONTHS[date.getMonth()] ?? ''}`
}

/** 08:05 when it is today, else 3月13日 08:05. */
export function when(at: number | string | null, now = Date.now()): string {
  const time = typeof at === 'string' ? Date.parse(at) : at
  if (time === null || Number.isNaN(time)) return '—'
  return new Date(time).toDateString() === new Date(now).toDateString() ? clock(time) : `${day(time)} ${clock(time)}`
}
