import {
  createMemoryHistory,
  createRouter,
  createWebHashHistory,
  type RouteLocationRaw,
  type RouteRecordRaw,
} from 'vue-router'
import { useSession } from '@/state'

/** Screens that a phone shows before anybody has signed on. */
const OPEN = new Set(['pair', 'sign-on', 'settings'])

export const routes: RouteRecordRaw[] = [
  { path: '/', name: 'home', component: () => import('@/screens/Home.vue') },
  { path: '/pair', name: 'pair', component: () => import('@/screens/Pair.vue') },
  { path: '/sign-on', name: 'sign-on', component: () => import('@/screens/SignOn.vue') },
  { path: '/sample', name: 'sample', component: () => import('@/screens/Sample.vue') },
  { path: '/register', name: 'register', component: () => import('@/screens/Register.vue') },
  { path: '/late-entry', name: 'late-entry', component: () => import('@/screens/LateEntry.vue') },
  { path: '/tubes', name: 'tubes', component: () => import('@/screens/Tubes.vue') },
  { path: '/pack', name: 'pack', component: () => import('@/screens/Pack.vue') },
  { path: '/carry', name: 'carry', component: () => import('@/screens/Carry.vue') },
  { path: '/receive', name: 'receive', component: () => import('@/screens/Receive.vue') },
  { path: '/door', name: 'door', component: () => import('@/screens/Door.vue') },
  { path: '/form/:kind?', name: 'form', component: () => import('@/screens/Form.vue') },
  { path: '/outbox', name: 'outbox', component: () => import('@/screens/Outbox.vue') },
  { path: '/settings', name: 'settings', component: () => import('@/screens/Settings.vue') },
  { path: '/:rest(.*)*', redirect: { name: 'home' } },
]

/** Where somebody who asked for `name` has to go first, or true. */
export function gate(name: string, paired: boolean, locked: boolean, path: string): RouteLocationRaw | true {
  if (!paired) return name === 'pair' || name === 'settings' ? true : { name: 'pair' }
  if (locked && !OPEN.has(name)) return { name: 'sign-on', query: path === '/' ? {} : { next: path } }
  return true
}

// Without a browser (tests) the routes have nowhere to show.
const history = typeof location === 'undefined' ? createMemoryHistory() : createWebHashHistory('/field/')
export const router = createRouter({ history, routes })

router.beforeEach((to) => {
  const { device, locked } = useSession()
  return gate(String(to.name ?? ''), device.value !== null, locked.value, to.fullPath)
})
