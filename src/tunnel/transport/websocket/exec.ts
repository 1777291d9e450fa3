// Runs a command in a container through the API server, over a WebSocket (subprotocol v4.channel.k8s.io). Messages begin with a channel
// byte: 1 is standard output, 2 standard error, 3 the end, as a meta/v1 Status. All that comes is limited, since the pod may be anybody's.
import { type Clock, systemClock } from '../../../base/clock.ts'
import { type RandomBytes, systemRandom } from '../../../base/random.ts'
import { TunnelError } from '../../errors.ts'
import type { WebSocketTarget } from '../dial.ts'
import { RefusedError, type Upgraded } from '../http-upgrade.ts'
import { closeAnswer, FrameDecoder, FrameError, MAX_HEADER, Opcode, sealFrame } from './frame.ts'
import { openWebSocket } from './handshake.ts'

const PROTOCOL = 'v4.channel.k8s.io'
const STDOUT = 1
const STDERR = 2
const STATUS = 3
/** Of standard error and of the status, each. */
const MOST_WORDS = 16 * 1024
/** All that comes on other channels than standard output. A command may complain for ever. */
const MOST_ASIDE = 1 << 20
const OPEN_MS = 15_000

export interface ExecOptions {
  /** Gets a view that is valid during the call. What it throws ends the command. */
  onOutput(chunk: Buffer): void
  /** Bytes of standard output that are taken; more are an error. */
  most: number
  /** It may say nothing for so long, ms. That the connection lives is not enough. */
  patienceMs: number
  signal?: AbortSignal
  clock?: Clock
  random?: RandomBytes
}

export interface ExecEnd {
  /** 0 for success; null where it could not be run at all. */
  code: number | null
  /** What it wrote to standard error, or why it could not be run. */
  words: string
}

/** Resolves when the command has ended. Rejects with TunnelError, or with what `onOutput` threw. */
export async function runInPod(endpoint: WebSocketTarget, options: ExecOptions): Promise<ExecEnd> {
  const { clock = systemClock, random = systemRandom } = options
  const opened = await openWebSocket(endpoint, PROTOCOL, OPEN_MS, undefined, { clock, random }).catch(
    (error: unknown) => {
      if (!(error instanceof RefusedError)) throw error
      const right = /cannot (\w+) resource "(pods\/exec)".* in the namespace "([^"]+)"/.exec(error.message)
      const message = right
        ? `you may not ${right[1]} ${right[2]} in namespace ${right[3]}`
        : error.message.replace(/^port-forward: /, 'running a command in the pod: ')
      const hint = error.status === 403 ? 'ask for the right to get and create pods/exec in this namespace' : error.hint
      throw new TunnelError('unreachable', message, hint)
    },
  )
  return read(opened, options)
}

function read({ socket, inlet }: Upgraded, options: ExecOptions): Promise<ExecEnd> {
  const { onOutput, most, patienceMs, signal, clock = systemClock, random = systemRandom } = options
  const { promise, resolve, reject } = Promise.withResolvers<ExecEnd>()
  let taken = 0
  let aside = 0
  let channel = 0
  let stderr = ''
  let status = ''
  let stopWaiting = () => {}
  let over = false
  const fail = (error: unknown) => {
    reject(error)
    socket.destroy()
  }
  const lost = (words: string) =>
    fail(
      new TunnelError(
        'lost',
        `running a command in the pod: ${words}`,
        'try again; `kubectl get pods` shows whether it runs',
      ),
    )
  const wait = () => {
    stopWaiting()
    stopWaiting = clock.after(patienceMs, () => lost(`it said nothing for ${patienceMs / 1000} s`))
  }
  const control = (opcode: number, payload: Uint8Array) => {
    if (socket.destroyed) return
    const frame = Buffer.alloc(MAX_HEADER + payload.length)
    frame.set(payload, MAX_HEADER)
    socket.write(frame.subarray(sealFrame(opcode, frame, MAX_HEADER, frame.length, random(4))))
  }
  const end = () => {
    const result = endOf(status, stderr)
    if (result) resolve(result)
    else lost('it was cut off')
    socket.destroy()
  }
  const decoder = new FrameDecoder({
    onPiece(piece, first) {
      // RFC 6455 5.5.1: nothing counts behind the close frame.
      if (over) return
      if (first) {
        channel = piece[0]
        piece = piece.subarray(1)
      }
      wait()
      if (channel !== STDOUT && (aside += piece.length) > MOST_ASIDE)
        throw new TunnelError('lost', 'the command complains without end', 'see what it says by `kubectl exec`')
      if (channel === STDERR) stderr = (stderr + piece.toString('latin1')).slice(0, MOST_WORDS)
      else if (channel === STATUS) status = (status + piece.toString('latin1')).slice(0, MOST_WORDS)
      else if (channel === STDOUT) {
        taken += piece.length
        if (taken > most) throw new TunnelError('lost', `the command said more than ${most} bytes`, 'raise the limit')
        onOutput(piece)
      }
    },
    onPing: (payload) => control(Opcode.pong, payload),
    onClose(code) {
      control(Opcode.close, closeAnswer(code))
      end()
      over = true
    },
  })
  const abort = () => lost('given up')
  signal?.addEventListener('abort', abort)
  // A reset may follow the end that was told.
  socket.on('error', (error) => (endOf(status, stderr) ? end() : lost(error.message)))
  socket.on('close', end)
  wait()
  inlet.listen((chunk) => {
    if (socket.destroyed) return
    try {
      decoder.push(chunk)
    } catch (error) {
      if (error instanceof FrameError) lost(error.message)
      else fail(error)
    }
  })
  if (signal?.aborted) abort()
  return promise.finally(() => {
    stopWaiting()
    signal?.removeEventListener('abort', abort)
    socket.destroy()
  })
}

/** Undefined for what is no status: it was cut off. */
function endOf(text: string, stderr: string): ExecEnd | undefined {
  const utf8 = (words: string) => Buffer.from(words, 'latin1').toString()
  try {
    const status = JSON.parse(utf8(text)) as {
      status?: string
      message?: string
      reason?: string
      details?: { causes?: { reason?: string; message?: string }[] }
    }
    if (status.status === 'Success') return { code: 0, words: utf8(stderr) }
    const exit = status.details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message
    const code = status.reason === 'NonZeroExitCode' && exit !== undefined ? Number(exit) : null
    return { code, words: utf8(stderr) || String(status.message ?? 'it failed') }
  } catch {
    return undefined
  }
}
