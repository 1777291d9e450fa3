// Passes one stream of HTTP/2 between a caller and the side it is for. Either of them may say what node:http2 reads and will not
// write (a status of 600, a connection's header in a trailer), and may have gone when it is to be told. Such an exception costs
// the stream: nothing here throws.
import { type ClientHttp2Stream, constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'

const { NGHTTP2_CANCEL, NGHTTP2_FLAG_END_STREAM, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = constants

/**
 * What the caller sends goes to `request`, the answer to `stream`, resets both ways. `trailers` are the caller's, undefined when it
 * has sent its whole request with its headers.
 */
export function passStream(
  stream: ServerHttp2Stream,
  request: ClientHttp2Stream,
  trailers: (() => IncomingHttpHeaders) | undefined,
): void {
  let answerTrailers: IncomingHttpHeaders = {}
  /** Makes a listener of `act` whose exception ends both halves: `words` is what the caller then hears. */
  const guard =
    <Args extends unknown[]>(words: string, act: (...args: Args) => void) =>
    (...args: Args): void => {
      try {
        act(...args)
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code ?? (error as Error).message
        refuse(stream, {}, `${words} cannot be passed on (${code})`)
        quietly(() => request.close(NGHTTP2_CANCEL))
      }
    }
  const gone = () => stream.destroyed || stream.closed

  request.on(
    'wantTrailers',
    guard('the trailers of the request', () => request.sendTrailers(trailers?.() ?? {})),
  )
  request.on(
    'headers',
    guard('the answer of the server', (headers) => {
      if (!stream.headersSent && !gone()) stream.additionalHeaders(headers)
    }),
  )
  request.on(
    'response',
    guard('the answer of the server', (headers, flags) => {
      if (gone()) return
      const endStream = (flags & NGHTTP2_FLAG_END_STREAM) !== 0
      const options = endStream ? { endStream } : { waitForTrailers: true }
      stream.respond(headers, { ...options, sendDate: false } as object)
      if (!endStream) request.pipe(stream)
    }),
  )
  request.on('trailers', (those) => {
    answerTrailers = those
  })
  stream.on(
    'wantTrailers',
    guard('the trailers of the answer', () => stream.sendTrailers(answerTrailers)),
  )
  request.on('error', () => {})
  request.on(
    'close',
    guard('the end of the answer', () => {
      // An answer that has been passed on whole ends by itself.
      if (gone() || (request.rstCode === NGHTTP2_NO_ERROR && stream.headersSent)) return
      if (request.rstCode === NGHTTP2_NO_ERROR) refuse(stream, {}, 'the server gave no answer')
      else stream.close(request.rstCode)
    }),
  )
  stream.on(
    'close',
    guard('the end of the request', () => {
      if (!request.destroyed) request.close(stream.rstCode === NGHTTP2_NO_ERROR ? NGHTTP2_CANCEL : stream.rstCode)
    }),
  )
  if (trailers) stream.pipe(request)
}

/**
 * 502, or for gRPC what its libraries make of it: UNAVAILABLE (14). A stream that has an answer already is reset, one that is
 * gone is left. `headers` are the request's.
 */
export function refuse(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, message: string): void {
  if (stream.destroyed || stream.closed) return
  const text = `kt: ${message}`
  quietly(() => {
    if (stream.headersSent) stream.close(NGHTTP2_INTERNAL_ERROR)
    else if (String(headers['content-type'] ?? '').startsWith('application/grpc')) {
      const status = { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '14' }
      stream.respond({ ...status, 'grpc-message': encodeURI(text) }, { endStream: true })
    } else {
      stream.respond({ ':status': 502, 'content-type': 'text/plain; charset=utf-8' })
      stream.end(`${text}\n`)
    }
  })
}

/** For words to somebody who may be gone: an exception says that, and nothing else. */
export function quietly(say: () => void): void {
  try {
    say()
  } catch {
    // Node destroys the stream, or it was destroyed before.
  }
}
