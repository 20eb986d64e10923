import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [react()],
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  worker: { format: 'es' },
  // While developing, the API of a standalone beside it.
  server: { proxy: { '/api': process.env.TOWPATH_SERVER ?? 'http://127.0.0.1:8080' } },
})
