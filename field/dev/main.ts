/** Boots the app paired, signed on and placed, over the fake server of the tests. `window.dev` helps scripts. */
import { createApp, nextTick } from 'vue'
import '../../dabai/desk/static/desk/tokens.css'
import '@/styles/base.css'
import App from '@/App.vue'
import { makeCodes, residentCode } from '@/core/rules/codes'
import { checkDigit } from '@/core/rules/documents'
import { router } from '@/router'
import { useOutbox, useSession, useSettings, useSlice, useSync, useTube } from '@/state'
import { boot } from '@/state/phone'
import vectors from '../../contract/vectors/pools.json'
import { FakeServer, PIN, tokenOf } from '../tests/server'

Reflect.deleteProperty(window, 'CompressionStream')
const server = new FakeServer()
const real = window.fetch.bind(window)
window.fetch = (input, init) =>
  String(input).startsWith('/api/') ? server.fetch(String(input), init) : real(input, init)

const NAMES = [
  '张*三',
  '李*',
  '欧阳*修',
  '王*芳',
  '赵*强',
  '阿***·**提',
  '陈*',
  '刘*洋',
  '孙*',
  '周*明',
  '吴*',
  '郑*霞',
]
const GROUPS: Record<number, string> = { 5: 'fever_clinic' }
const people = await Promise.all(
  Array.from({ length: 240 }, async (_, n) => {
    // Born in 1900: nobody's numbers.
    const body = `34060219000${(n % 9) + 1}1${n % 9}${String(n + 100).slice(0, 3)}`
    const number = body + checkDigit(body)
    const person = `0190a000-0000-7000-8000-${String(n).padStart(12, '0')}`
    return { person, number, name: NAMES[n % NAMES.length] ?? '', n }
  }),
)
const tokens = await Promise.all(people.map(({ number }) => tokenOf(number)))
const rows = people.map(({ person, number, name, n }) => [
  person,
  [tokens[n]],
  name,
  number.slice(-4),
  1940 + (n % 70),
  1,
  GROUPS[n] ?? '',
  0,
  String(n >> 1).padStart(8, '0'),
  '34060200100101',
  `${(n % 12) + 1}栋`,
  `${(n % 4) + 1}单元`,
  '渡口花园小区',
])
server.slices = { version: 'v1', rows, perBlock: 500 }
const query = new URLSearchParams(location.search)
server.reference = {
  rounds: [
    {
      id: 1, number: 1, name: '第一轮', pool_size: Number(query.get('pool') ?? 10), state: 'running', starts_at: null, ends_at: null,
      codes: { tube_pattern: null }, pooling: vectors.pooling, open_minutes: Number(query.get('minutes') ?? 60),
    },
  ],
  sites: [
    { id: 1, code: 'P01', kind: 'sampling_point', name: '渡口社区第一采样点', area: '340602001001', stations: [{ number: 3, name: '3' }] },
  ],
} // prettier-ignore

await boot()
const session = useSession()
if (!session.device.value) await session.pair('ABCD-EFGH')
await session.signOn('demo.sampler', PIN)
await session.choose({ site: 1, station: 3, round: 1 })
useSync().kick()
const tubes = makeCodes('tube', 'DJ', '03A', 417, 50)
const settings = useSettings()
createApp(App).use(router).mount('#app')
await router.push(query.get('to') ?? '/sample')
Object.assign(window, {
  dev: {
    server,
    people,
    tubes,
    boxes: makeCodes('box', 'DJ', '03A', 7, 2),
    residentCode,
    settings,
    router,
    nextTick,
    tube: useTube(),
    slice: useSlice(),
    outbox: useOutbox(),
    session,
  },
})
