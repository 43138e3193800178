// Lays a Brotli and a gzip copy beside each file of a folder that gets smaller by it: `node pack-files.mjs FOLDER`.
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const WORTH_IT = /\.(js|mjs|css|html|json|svg|wasm|webmanifest|txt|map)$/;
const folder = process.argv[2];

for (const name of readdirSync(folder, { recursive: true })) {
  const path = join(folder, name);
  if (!statSync(path).isFile() || !WORTH_IT.test(path)) continue;
  const plain = readFileSync(path);
  if (plain.length < 1024) continue;
  const quality = plain.length > 500_000 ? 9 : 11;
  const params = { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length };
  for (const [suffix, packed] of [[".br", brotliCompressSync(plain, { params })], [".gz", gzipSync(plain, { level: 9 })]]) {
    if (packed.length < plain.length * 0.95) writeFileSync(path + suffix, packed);
  }
}
