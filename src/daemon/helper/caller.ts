// The line to `kt up`: one line of configuration in on descriptor 0, JSON lines out on 1, until the connection stands.
// Then the standard descriptors are given up, so the terminal, or a pipe the caller sits in, is free. Where the caller came
// through the helper's socket, a line with the call comes before, and standard error is the system's journal, which stays.
import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { HelperError } from './errors.ts'
import { LONGEST_LINE } from './protocol.ts'

export interface CallerLink {
  /** The line before the configuration, where there is one. Rejects as `config` does. */
  call(): Promise<string>
  /** The configuration. Rejects with HelperError if the input ends before, or is too long. */
  config(): Promise<string>
  /** Writes a line; quietly not if the caller is gone or does not read. */
  tell(line: object): void
  /** Gives the standard descriptors up. `onEnd` is not called any more. */
  detach(): void
}

/** The configuration holds the caller's environment, which the kernel limits to a quarter of the stack: execve(2). */
const LONGEST_CONFIG = 4 << 20
// Far more than any connection's steps; what comes faster is somebody's mistake.
const MOST_LINES = 2000

/** `onEnd`: the caller closed its end, so nobody waits any more. `socket`: the caller came through the helper's socket. */
export function openCaller(onEnd: () => void, { socket: bySocket = false } = {}): CallerLink {
  const wanted = Array.from({ length: bySocket ? 2 : 1 }, () => Promise.withResolvers<string>())
  for (const { promise } of wanted) promise.catch(() => {})
  const config = wanted.at(-1)!.promise
  const rejectAll = (error: HelperError) => {
    for (const { reject } of wanted) reject(error)
  }
  let text = ''
  let got = 0
  let attached = true
  let lines = 0
  const tooLong = () =>
    rejectAll(
      new HelperError(
        'config',
        'the configuration is longer than a line may be',
        'give fewer options, or unset large variables of the environment',
      ),
    )
  const take = (chunk: string) => {
    if (got === wanted.length) return
    text += chunk
    while (got < wanted.length) {
      const end = text.indexOf('\n')
      if (end > LONGEST_CONFIG || (end < 0 && text.length > LONGEST_CONFIG)) return tooLong()
      if (end < 0) return
      wanted[got++].resolve(text.slice(0, end))
      text = text.slice(end + 1)
    }
    text = ''
  }
  const ended = () => {
    if (got < wanted.length)
      rejectAll(new HelperError('config', 'the configuration is missing', 'start kt with `kt up`'))
    if (attached) onEnd()
  }

  let socket: Socket | undefined
  const stat = fstatSync(0)
  if (stat.isFIFO() || stat.isSocket()) {
    socket = new Socket({ fd: 0, readable: true, writable: false })
    socket.setEncoding('utf8')
    socket.on('data', take)
    socket.on('end', ended)
    socket.on('error', ended)
  } else {
    // A file or a terminal in which somebody tries it by hand: no end to wait for.
    const buffer = Buffer.alloc(LONGEST_CONFIG)
    take(buffer.toString('utf8', 0, readSync(0, buffer)))
    if (got < wanted.length) ended()
  }

  return {
    call: () => wanted[0].promise,
    config: () => config,
    tell(line) {
      if (!attached || ++lines > MOST_LINES) return
      const out = JSON.stringify(line)
      if (out.length > LONGEST_LINE) return
      try {
        writeSync(1, `${out}\n`)
      } catch {
        // EPIPE, EAGAIN: `onEnd` or nobody will tell.
      }
    },
    detach() {
      if (!attached) return
      attached = false
      const replace = (fds: number[]) => {
        // The lowest free number is taken: the one just closed.
        for (const fd of fds) {
          closeSync(fd)
          openSync('/dev/null', fd === 0 ? 'r' : 'w')
        }
      }
      replace(bySocket ? [1] : [1, 2])
      if (!socket) return replace([0])
      // libuv leaves standard descriptors open when their stream is closed.
      socket.on('close', () => replace([0]))
      socket.destroy()
    },
  }
}
