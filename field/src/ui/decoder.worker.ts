/** Finds barcodes in pictures, away from the thread that draws the screen. */
import { prepareZXingModule, readBarcodes, type ReaderOptions } from 'zxing-wasm/reader'
import wasm from 'zxing-wasm/reader/zxing_reader.wasm?url'

export interface Picture {
  id: number
  width: number
  height: number
  pixels: ArrayBuffer
}

export interface Found {
  id: number
  /** Nearest to the middle first. */
  texts: { text: string; format: string }[]
  error?: string
}

const options: ReaderOptions = {
  formats: ['QRCode', 'Code128'],
  tryHarder: true,
  tryRotate: true,
  tryInvert: false,
  maxNumberOfSymbols: 4,
}

prepareZXingModule({
  overrides: { locateFile: (path: string, prefix: string) => (path.endsWith('.wasm') ? wasm : prefix + path) },
})

self.onmessage = async ({ data }: MessageEvent<Picture>) => {
  try {
    const image = new ImageData(new Uint8ClampedArray(data.pixels), data.width, data.height)
    const results = await readBarcodes(image, options)
    const middle = { x: data.width / 2, y: data.height / 2 }
    const away = (p: { topLeft: { x: number; y: number }; bottomRight: { x: number; y: number } }): number =>
      Math.hypot((p.topLeft.x + p.bottomRight.x) / 2 - middle.x, (p.topLeft.y + p.bottomRight.y) / 2 - middle.y)
    const texts = results
      .filter((one) => one.isValid)
      .sort((a, b) => away(a.position) - away(b.position))
      .map((one) => ({ text: one.text, format: String(one.format) }))
    self.postMessage({ id: data.id, texts } satisfies Found)
  } catch (error) {
    self.postMessage({ id: data.id, texts: [], error: String(error) } satisfies Found)
  }
}
