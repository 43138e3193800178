import { createApp } from 'vue'
import '../../dabai/desk/static/desk/tokens.css'
import '@/styles/base.css'
import App from './App.vue'
import { router } from './router'
import { boot } from './state/phone'
import { registerApp } from './state/useUpdate'

// What lies on the phone decides which screen is first.
await boot()
createApp(App).use(router).mount('#app')
void registerApp().catch(() => undefined)
