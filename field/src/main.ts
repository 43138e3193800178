import { createApp } from 'vue'
import '../../dabai/desk/static/desk/tokens.css'
import '@/styles/base.css'
import App from './App.vue'
import { router } from './router'

createApp(App).use(router).mount('#app')
