// Is there a program for what shall come? Asked before anything is changed in the cluster.
import { connect } from 'node:net'
import type { ExposedPort } from '../../control/holder.ts'

const ANSWER_MS = 1_000

/** Rejects with the first TCP port of this machine that nobody listens on. */
export async function requireListening(ports: ExposedPort[]): Promise<void> {
  await Promise.all(
    ports
      .filter(({ protocol }) => protocol !== 'UDP')
      .map(async ({ local }) => {
        const answers = await Promise.all(['127.0.0.1', '::1'].map((host) => listens(host, local)))
        if (answers.includes(true)) return
        throw Object.assign(new Error(`nothing listens on localhost:${local}`), {
          code: 'local-closed',
          hint: 'start your program first, or use --no-check to start it later (UDP is LOCAL:REMOTE/udp)',
        })
      }),
  )
}

function listens(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: ANSWER_MS })
    const done = (answer: boolean) => () => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', done(true)).once('error', done(false)).once('timeout', done(false))
  })
}
