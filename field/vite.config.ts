import { fileURLToPath } from 'node:url'
import vue from '@vitejs/plugin-vue'
import { VitePWA } from 'vite-plugin-pwa'
import { defineConfig } from 'vitest/config'

const SERVER = process.env['DABAI_SERVER'] ?? 'http://127.0.0.1:8000'

export default defineConfig({
  base: '/field/',
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  define: { __APP_VERSION__: JSON.stringify(process.env['npm_package_version'] ?? '0') },
  plugins: [
    vue(),
    VitePWA({
      strategies: 'generateSW',
      // core/update.ts registers the worker and asks it to take over, between tubes only.
      injectRegister: null,
      registerType: 'prompt',
      filename: 'worker.js',
      manifest: {
        name: '大白 · 现场',
        short_name: '大白',
        description: '采样、装箱、交接、上门：没有网络也能用',
        lang: 'zh-CN',
        start_url: '/field/',
        scope: '/field/',
        display: 'standalone',
        orientation: 'portrait',
        theme_color: '#0a6b66',
        background_color: '#f4f6f8',
        icons: [
          { src: 'icon-192.png', sizes: '192x192', type: 'image/png' },
          { src: 'icon-512.png', sizes: '512x512', type: 'image/png' },
          { src: 'icon-512.png', sizes: '512x512', type: 'image/png', purpose: 'maskable' },
        ],
      },
      workbox: {
        // The whole app, the scanner's wasm and the clips included: a tent has no second chance to load a screen.
        globPatterns: ['**/*.{js,css,html,wasm,svg,png,mp3,ogg,opus,wav,m4a,json}'],
        maximumFileSizeToCacheInBytes: 8 * 2 ** 20,
        navigateFallback: 'index.html',
        navigateFallbackDenylist: [/^\/api\//],
        cleanupOutdatedCaches: true,
        clientsClaim: true,
        skipWaiting: false,
        inlineWorkboxRuntime: true,
      },
    }),
  ],
  build: { target: 'es2022', outDir: 'dist', sourcemap: false, reportCompressedSize: false },
  server: { proxy: { '/api': SERVER }, fs: { allow: ['..'] } },
  test: { environment: 'node', include: ['tests/**/*.test.ts'], setupFiles: ['tests/setup.ts'], testTimeout: 20_000 },
})
