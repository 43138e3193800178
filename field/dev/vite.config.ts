/** `npx vite --config dev/vite.config.ts`: the app over the tests' small server, in one page, to look at screens. Never built. */
import { fileURLToPath } from 'node:url'
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig({
  root: at('.'),
  base: '/',
  cacheDir: at('../node_modules/.vite-dev'),
  resolve: { alias: { '@': at('../src'), 'node:zlib': at('./zlib.ts') } },
  define: { __APP_VERSION__: JSON.stringify('0') },
  plugins: [vue()],
  server: { hmr: false, port: 5199, strictPort: true, host: '127.0.0.1', fs: { allow: [at('../..')] } },
  optimizeDeps: { exclude: ['zxing-wasm'] },
})
