import { createApp } from 'vue'
import '../../dabai/desk/static/desk/tokens.css'
import '@/styles/base.css'
import App from './App.vue'
import { router } from './router'
import { boot } from './state/phone'
import { registerApp } from './state/useUpdate'

/** For a browser that keeps nothing (a private window, a full disk): here nothing may be written that would be lost. */
const NO_STORAGE =
  '这个浏览器不能保存数据，不能用来采样。请退出无痕模式，或清理手机空间后再打开。' +
  'This browser cannot keep data. Leave private browsing, or free some space, and open the app again.'

try {
  // What lies on the phone decides which screen is first.
  await boot()
  createApp(App).use(router).mount('#app')
} catch {
  document.body.textContent = NO_STORAGE
}
void registerApp().catch(() => undefined)
