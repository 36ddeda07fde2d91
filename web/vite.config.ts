import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

// The hub keeps each file as it is and packed beside it, and sends what the browser takes.
function packed(): Plugin {
  let into = '';
  const pack = (folder: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const file = path.join(folder, entry.name);
      if (entry.isDirectory()) pack(file);
      else if (!file.endsWith('.gz')) writeFileSync(file + '.gz', gzipSync(readFileSync(file), { level: 9 }));
    }
  };
  return { name: 'packed', apply: 'build', configResolved: (config) => { into = config.build.outDir; }, closeBundle: () => pack(into) };
}

export default defineConfig({
  base: './',
  plugins: [svelte(), packed()],
  // `npm run dev`: the calls of the page go to a running hub.
  server: { proxy: { '^/(?!src|node_modules|@|$)': { target: process.env.HUB ?? 'https://localhost:8443', secure: false } } },
  // Nothing inline: the hub's Content-Security-Policy allows only files of its own.
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
});
