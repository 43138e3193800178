// What the first load weighs: the shell and the heaviest of the first screens, with all that they import, gzipped. The
// scanner's wasm and the spoken clips come afterwards, in the background.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const LIMIT = 350 * 1024
const FIRST = ['Pair', 'SignOn', 'Home', 'Sample']
const dist = fileURLToPath(new URL('../dist/', import.meta.url))

if (!existsSync(join(dist, 'index.html'))) {
  console.error('field/dist is not built: npm run build')
  process.exit(1)
}

const gzipped = (file) => gzipSync(readFileSync(join(dist, file))).length

/** A script with everything it imports at once, and the styles that belong to it. */
function closure(start) {
  const found = new Set()
  const visit = (file) => {
    if (found.has(file) || !existsSync(join(dist, file))) return
    found.add(file)
    if (!file.endsWith('.js')) return
    const text = readFileSync(join(dist, file), 'utf8')
    for (const [, path] of text.matchAll(/(?:from|import)\s*"(\.\.?\/[^"]+\.js)"/g))
      visit(normalize(join(dirname(file), path)))
  }
  start.forEach(visit)
  return found
}

const index = readFileSync(join(dist, 'index.html'), 'utf8')
const linked = [...index.matchAll(/(?:src|href)="\/field\/([^"]+\.(?:js|css))"/g)].map(([, file]) => file)
const shell = closure(linked)
shell.add('index.html')
const assets = readdirSync(join(dist, 'assets'))
const weigh = (files) => [...files].reduce((sum, file) => sum + gzipped(file), 0)

let heaviest = weigh(shell)
console.log(`shell ${(heaviest / 1024).toFixed(1)} KiB`)
for (const name of FIRST) {
  const own = assets
    .filter((file) => file.startsWith(`${name}-`) && /\.(js|css)$/.test(file))
    .map((file) => `assets/${file}`)
  const all = closure(own)
  // Styles of shared parts are named in the list that the lazy import carries; by name they go with their script.
  for (const file of [...all]) {
    const stem = file.replace(/^assets\//, '').replace(/-[^-]*\.js$/, '')
    for (const css of assets.filter((one) => one.endsWith('.css') && one.startsWith(`${stem}-`)))
      all.add(`assets/${css}`)
  }
  const weight = weigh(new Set([...shell, ...all]))
  console.log(`with ${name} ${(weight / 1024).toFixed(1)} KiB`)
  heaviest = Math.max(heaviest, weight)
}
if (heaviest > LIMIT) {
  console.error(`The first load is ${(heaviest / 1024).toFixed(1)} KiB; at most ${LIMIT / 1024} are allowed`)
  process.exit(1)
}
