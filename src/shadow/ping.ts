// Pings by the helper of our image (shadow/kt-ping.c), since Node has no ICMP sockets. One process, a line a request:
// `ID TIMEOUT_MS BYTES ADDRESS` in, `ID 1` or `ID 0` out; it prints `ready` when it could open a socket.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { quietPipes } from '../base/children.ts'
import type { Clock } from '../base/clock.ts'
import type { IpAddress } from '../wire/address.ts'

/** Largest echo payload of an IPv4 packet: 65,535 less 20 and 8. */
const MAX_PAYLOAD = 65_507
const MAX_OUTSTANDING = 1024

export interface Pinger {
  ping(address: IpAddress, payloadLength: number, timeoutMs: number, answer: (answered: boolean) => void): void
  close(): void
}

/** Resolves with undefined where the helper is missing or may not open a socket. */
export function startPinger(path: string, timeoutMs: number, clock: Clock): Promise<Pinger | undefined> {
  if (!existsSync(path)) return Promise.resolve(undefined)
  return new Promise((resolve) => {
    let child: ChildProcessWithoutNullStreams
    try {
      child = spawn(path, [], { stdio: 'pipe' })
    } catch {
      return resolve(undefined)
    }
    quietPipes(child)
    child.stderr.resume()
    const waiting = new Map<number, (answered: boolean) => void>()
    let next = 1
    let alive = true
    const cancel = clock.after(timeoutMs, () => child.kill())
    const gone = () => {
      alive = false
      cancel()
      for (const answer of waiting.values()) answer(false)
      waiting.clear()
      resolve(undefined)
    }
    child.on('error', gone)
    child.on('exit', gone)
    child.stdin.on('error', gone)
    let partial = ''
    child.stdout.on('data', (chunk: Buffer) => {
      const lines = (partial + chunk.toString('latin1')).split('\n')
      partial = lines.pop()!
      for (const line of lines) {
        if (line === 'ready') {
          cancel()
          resolve(pinger)
          continue
        }
        const [id, result] = line.split(' ').map(Number)
        const answer = waiting.get(id)
        waiting.delete(id)
        answer?.(result === 1)
      }
    })
    const pinger: Pinger = {
      ping(address, payloadLength, timeout, answer) {
        if (!alive || waiting.size >= MAX_OUTSTANDING) return answer(false)
        const id = next
        next = next >= 0x7fffffff ? 1 : next + 1
        waiting.set(id, answer)
        child.stdin.write(`${id} ${Math.min(timeout, 60_000)} ${Math.min(payloadLength, MAX_PAYLOAD)} ${address}\n`)
      },
      close() {
        child.kill()
      },
    }
  })
}
