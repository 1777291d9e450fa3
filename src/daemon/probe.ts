// Asks as any program of this machine would, and from a process of its own: looks a name up with getaddrinfo, and connects
// to addresses that kt's own stack answers. `probe REQUEST` prints a ProbeAnswer as one line of JSON, within the request's
// time whatever happens. It may end much later: who started it ends it when the line is there.
import { lookup } from 'node:dns'
import { connect } from 'node:net'

export interface ProbeRequest {
  /** Undefined: names are not kt's business here. */
  name: string | undefined
  targets: { address: string; port: number }[]
  timeoutMs: number
}

export interface ProbeAnswer {
  /** Null if it was found, else the error's code. */
  name: string | null
  /** The same for each target, in order. */
  targets: (string | null)[]
}

const request = JSON.parse(process.argv[2] ?? '') as ProbeRequest
const answer: ProbeAnswer = {
  name: request.name === undefined ? null : 'ETIMEDOUT',
  targets: request.targets.map(() => 'ETIMEDOUT'),
}

function end(): never {
  process.stdout.write(`${JSON.stringify(answer)}\n`)
  process.exit(0)
}

function find(name: string): Promise<void> {
  return new Promise((done) => {
    lookup(name, { all: true }, (error) => {
      answer.name = error ? (error.code ?? error.message) : null
      done()
    })
  })
}

function reach(i: number): Promise<void> {
  const { address, port } = request.targets[i]
  return new Promise((done) => {
    const socket = connect(port, address)
    const settle = (outcome: string | null) => {
      answer.targets[i] = outcome
      socket.destroy()
      done()
    }
    socket.on('connect', () => settle(null))
    socket.on('error', (error: NodeJS.ErrnoException) => settle(error.code ?? error.message))
  })
}

setTimeout(end, request.timeoutMs)
await Promise.all([
  ...(request.name === undefined ? [] : [find(request.name)]),
  ...request.targets.map((_, i) => reach(i)),
])
end()
