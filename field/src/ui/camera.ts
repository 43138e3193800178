/** The camera: opening it, its torch, and pictures out of it into the decoder, one at a time. */
import type { Found, Picture } from './decoder.worker'

export type CameraTrouble = 'denied' | 'none' | 'busy' | 'insecure'

/** Widest picture that is looked at: enough for a Code 128 across the frame, little enough for an old phone. */
const WIDEST = 1024
/** The same text is reported again only after it has been out of sight for so long (ms). */
const FORGET = 1500

export function troubleOf(error: unknown): CameraTrouble {
  const name = error instanceof DOMException ? error.name : ''
  if (name === 'NotAllowedError' || name === 'SecurityError') return 'denied'
  if (name === 'NotFoundError' || name === 'OverconstrainedError') return 'none'
  return 'busy'
}

/** Remembers what the camera sees, so that a code that stays in view is told once. */
export class Sight {
  private readonly seen = new Map<string, number>()

  fresh(text: string, at: number): boolean {
    const before = this.seen.get(text)
    this.seen.set(text, at)
    for (const [other, when] of this.seen) if (at - when > FORGET) this.seen.delete(other)
    return before === undefined || at - before > FORGET
  }
}

export class Camera {
  private stream: MediaStream | null = null
  private worker: Worker | null = null
  private timer: ReturnType<typeof setTimeout> | undefined
  private canvas: HTMLCanvasElement | null = null
  private readonly sight = new Sight()
  private stopped = false
  torch = false

  constructor(private readonly found: (text: string, format: string) => void) {}

  /** Throws what `getUserMedia` throws; `troubleOf` puts it in a word. */
  async start(video: HTMLVideoElement): Promise<void> {
    this.stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { facingMode: { ideal: 'environment' }, width: { ideal: 1280 }, height: { ideal: 720 } },
    })
    if (this.stopped) return this.stop()
    video.srcObject = this.stream
    await video.play()
    const track = this.stream.getVideoTracks()[0]
    this.torch = !!track && 'torch' in ((track.getCapabilities?.() ?? {}) as object)
    this.worker = new Worker(new URL('./decoder.worker.ts', import.meta.url), { type: 'module' })
    this.worker.onmessage = ({ data }: MessageEvent<Found>) => {
      const first = data.texts[0]
      // Every text in view keeps its place in the memory; only the one in the middle is told.
      const now = performance.now()
      if (first && this.sight.fresh(first.text, now)) this.found(first.text, first.format)
      this.timer = setTimeout(() => this.look(video), 60)
    }
    this.canvas = document.createElement('canvas')
    this.look(video)
  }

  async light(on: boolean): Promise<void> {
    const track = this.stream?.getVideoTracks()[0]
    await track?.applyConstraints({ advanced: [{ torch: on } as unknown as MediaTrackConstraintSet] })
  }

  stop(): void {
    this.stopped = true
    clearTimeout(this.timer)
    this.worker?.terminate()
    this.worker = null
    for (const track of this.stream?.getTracks() ?? []) track.stop()
    this.stream = null
  }

  private look(video: HTMLVideoElement): void {
    if (this.stopped || !this.worker || !this.canvas) return
    const context = this.canvas.getContext('2d', { willReadFrequently: true })
    if (!context || !video.videoWidth) {
      this.timer = setTimeout(() => this.look(video), 100)
      return
    }
    const scale = Math.min(1, WIDEST / video.videoWidth)
    const width = Math.round(video.videoWidth * scale)
    const height = Math.round(video.videoHeight * scale)
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height })
    context.drawImage(video, 0, 0, width, height)
    const { data } = context.getImageData(0, 0, width, height)
    const picture: Picture = { id: 0, width, height, pixels: data.buffer as ArrayBuffer }
    this.worker.postMessage(picture, [picture.pixels])
  }
}
