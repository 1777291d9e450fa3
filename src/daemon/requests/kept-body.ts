// The beginning of one body, kept where somebody asked for bodies, and what is told of it: text with secrets hidden.
import { brotliDecompressSync, constants, gunzipSync, inflateSync } from 'node:zlib'
import type { SeenBody } from '../../control/views.ts'
import type { HeaderField } from '../../wire/http/hpack.ts'
import { bodyWithoutSecrets } from './body-secrets.ts'

/** Of an expanded body. A body that expands to more is not shown. */
const MOST_EXPANDED = 1 << 20

/** The beginning of a compressed body lacks its end, so what is there is to be flushed. */
const zlib = { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: MOST_EXPANDED }
const brotli = { finishFlush: constants.BROTLI_OPERATION_FLUSH, maxOutputLength: MOST_EXPANDED }
const EXPANDERS: Record<string, (bytes: Uint8Array) => Buffer> = {
  gzip: (bytes) => gunzipSync(bytes, zlib),
  'x-gzip': (bytes) => gunzipSync(bytes, zlib),
  deflate: (bytes) => inflateSync(bytes, zlib),
  br: (bytes) => brotliDecompressSync(bytes, brotli),
}

export class KeptBody {
  readonly #most: number
  #parts: Uint8Array[] = []
  #bytes = 0
  #cut = false

  /** Of each body at most `most` bytes are kept. */
  constructor(most: number) {
    this.#most = most
  }

  /** More bytes of the body, without the framing of chunks. They are copied, since the chunk's memory is used again. */
  add(part: Uint8Array): void {
    const taken = Math.min(part.length, this.#most - this.#bytes)
    if (taken < part.length) this.#cut = true
    if (taken === 0) return
    this.#parts.push(Uint8Array.prototype.slice.call(part, 0, taken))
    this.#bytes += taken
    // Bodies that come byte by byte would cost an object each.
    if (this.#parts.length === 64) this.#parts = [Buffer.concat(this.#parts)]
  }

  /** What is told of it; undefined for a body without bytes. `headers` are those of its message. */
  told(headers: readonly HeaderField[]): SeenBody | undefined {
    if (this.#bytes === 0) return undefined
    const header = (wanted: string) => headers.find(([name]) => name.toLowerCase() === wanted)?.[1] ?? ''
    const type = header('content-type')
    const read = textOf(Buffer.concat(this.#parts), header('content-encoding').trim().toLowerCase(), type)
    if ('why' in read) return { text: null, cut: this.#cut, why: read.why }
    const text = bodyWithoutSecrets(read.text, type)
    const short = text.slice(0, this.#most)
    return { text: short, cut: this.#cut || short.length < text.length, why: null }
  }
}

function textOf(bytes: Buffer, encoding: string, type: string): { text: string } | { why: string } {
  let plain = bytes
  if (encoding !== '' && encoding !== 'identity') {
    const expand = Object.hasOwn(EXPANDERS, encoding) ? EXPANDERS[encoding] : undefined
    if (!expand) return { why: `encoded as ${encoding.slice(0, 32)}` }
    try {
      plain = expand(bytes)
    } catch {
      return { why: `its ${encoding} cannot be expanded, or expands to too much` }
    }
  }
  const charset = /;\s*charset="?([\w.:-]{1,40})/i.exec(type)?.[1] ?? 'utf-8'
  try {
    // As a stream, since the last character may be cut.
    const text = new TextDecoder(charset, { fatal: true }).decode(plain, { stream: true })
    return text.includes('\0') ? { why: 'not text' } : { text }
  } catch (error) {
    return { why: error instanceof RangeError ? `text in ${charset}, which kt does not know` : 'not text' }
  }
}
