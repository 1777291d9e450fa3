import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import { connect, createServer, type Socket } from 'node:net'
import { dialPort, listen, startRouter } from '../../shadow-http/support.ts'
import { until } from '../../support/until.ts'
import type { Area, Subject } from '../area.ts'
import { makeScript, readScript } from '../http2-script.ts'
import type { Random } from '../random.ts'

/** So often somebody asks as everybody does. */
const ASK_EVERY = 20

async function speak(socket: Socket, pieces: readonly Buffer[]): Promise<void> {
  for (const piece of pieces) {
    if (socket.destroyed) return
    socket.write(piece)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Few pieces, since each costs a turn. */
function pieces(bytes: Buffer, random: Random): Buffer[] {
  const cut = random.int(bytes.length + 1)
  return random.chance(50) ? [bytes] : [bytes.subarray(0, cut), bytes.subarray(cut)].filter(({ length }) => length > 0)
}

async function start(): Promise<Subject> {
  let script: readonly Buffer[] = []
  const sockets = new Set<Socket>()
  const hostile = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    socket.resume()
    void speak(socket, script)
  })
  const honest = createHttp2Server()
  honest.on('session', (session) => session.on('error', () => {}))
  honest.on('stream', (stream) => {
    stream.on('error', () => {})
    stream.respond({ ':status': 200 })
    stream.end('whole')
  })
  const honestPort = await listen(honest)
  const router = await startRouter(dialPort(await listen(hostile)), { version: 'good', dial: dialPort(honestPort) })
  let attempts = 0

  async function ask(): Promise<void> {
    const session = connectHttp2(`http://127.0.0.1:${router.port}`)
    session.on('error', () => {})
    const stream = session.request({ 'kt-version': 'good' })
    let got = ''
    stream.on('response', (headers) => (got += headers[':status'])).on('error', () => {})
    stream.on('data', (chunk) => (got += chunk))
    await new Promise<void>((resolve) => stream.on('close', resolve))
    session.destroy()
    assert.equal(got, '200whole')
  }

  return {
    async attempt(input, random) {
      const { caller, server } = readScript(input)
      script = pieces(server, random)
      const socket = connect({ host: '127.0.0.1', port: router.port, noDelay: true })
      socket.on('error', () => {}).resume()
      await once(socket, 'connect')
      await speak(socket, pieces(caller, random))
      // What they have begun goes on for a moment, or does not.
      for (let turns = random.int(20); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve))
      if (random.chance(50)) socket.resetAndDestroy()
      else socket.destroy()
      for (const one of sockets) one.destroy()
      await until('the router is done with the connection', () => router.serving === 0, 5000)
      if (++attempts % ASK_EVERY === 0) await ask()
    },
    async stop() {
      await ask()
      router.close()
      hostile.close()
      honest.close()
    },
  }
}

export default {
  about:
    'HTTP/2 end to end, frames that are nearly right from the caller and from the original: the router serves the others',
  make: makeScript,
  start,
} satisfies Area
