// Is it true that requests come here? The Service's own address is asked, from each shadow, as a client in the cluster would:
// connections that end before they say anything, which harm no server. The shadows have agreed to answer such ones with bytes that
// nobody else knows (Tunnel.answerEmpty).
import { randomUUID } from 'node:crypto'
import type { DialFailure, StreamHandler, Tunnel, TunnelStream } from '../../tunnel/tunnel.ts'
import type { Endpoint } from '../../wire/address.ts'
import { IpAddress } from '../../wire/address.ts'

/** `here`: it leads to a shadow; `elsewhere`: somebody else has answered; `failed`: nobody has. */
export type Answer = 'here' | 'elsewhere' | 'failed'

/** kube-proxy follows within a second; a busy node within a few. */
const PATIENCE_MS = 8_000
/** One right answer may be chance where several endpoints are mixed. */
const IN_A_ROW = 3
/** Where a pod does not reach itself by its Service's address (no hairpin), or a policy forbids it, all fail. */
const FAILURES = 4
const ANSWER_MS = 500
const PAUSE_MS = 25

/** Whether to ask on, and what was found. Pure: time comes in. */
export class Verdict {
  readonly #began: number
  #row = 0
  #failures = 0
  #elsewhere = false

  constructor(now: number) {
    this.#began = now
  }

  /** `unknown`: it cannot be seen from there. `not-yet`: it should have been true long ago. */
  hear(answer: Answer, now: number): 'ask-again' | 'here' | 'unknown' | 'not-yet' {
    this.#row = answer === 'here' ? this.#row + 1 : 0
    if (answer === 'elsewhere') this.#elsewhere = true
    if (answer === 'failed') this.#failures++
    if (this.#row >= IN_A_ROW) return 'here'
    if (!this.#elsewhere && this.#failures >= FAILURES) return 'unknown'
    if (now - this.#began > PATIENCE_MS) return this.#elsewhere ? 'not-yet' : 'unknown'
    return 'ask-again'
  }
}

export interface CheckEffects {
  now(): number
  delay(ms: number): Promise<void>
  aborted(): boolean
}

/** What is known of all `tunnels` together: the worst of them. */
export async function checkWay(
  tunnels: Tunnel[],
  service: Endpoint,
  effects: CheckEffects,
): Promise<'here' | 'unknown' | 'not-yet'> {
  const marker = Buffer.from(`kt ${randomUUID()}\n`)
  if (!tunnels.map((tunnel) => tunnel.answerEmpty(marker)).every(Boolean)) return 'unknown'
  const found = await Promise.all(
    tunnels.map(async (tunnel) => {
      const verdict = new Verdict(effects.now())
      for (;;) {
        const next = verdict.hear(await ask(tunnel, service, marker), effects.now())
        if (next !== 'ask-again') return next
        if (effects.aborted()) return 'unknown'
        await effects.delay(PAUSE_MS)
      }
    }),
  )
  return found.find((one) => one === 'not-yet') ?? found.find((one) => one === 'unknown') ?? 'here'
}

const NOBODY: Endpoint = { address: IpAddress.parse('127.0.0.1'), port: 0 }

function ask(tunnel: Tunnel, service: Endpoint, marker: Buffer): Promise<Answer> {
  return new Promise((resolve) => {
    let said = Buffer.alloc(0)
    const done = (answer: Answer) => {
      clearTimeout(timer)
      resolve(answer)
      // Later than any call of the handler that may be under way.
      queueMicrotask(() => stream.reset())
    }
    const heard = (): Answer => (said.includes(marker) ? 'here' : 'elsewhere')
    let open = false
    const timer = setTimeout(() => done(open ? heard() : 'failed'), ANSWER_MS)
    const handler: StreamHandler = {
      onOpen() {
        open = true
        stream.end()
      },
      onFail(_reason: DialFailure) {
        done('failed')
      },
      onData(chunk) {
        stream.consumed(chunk.length)
        said = Buffer.concat([said, chunk]).subarray(0, 1024)
        if (said.includes(marker)) done('here')
      },
      onEnd: () => done(heard()),
      onDrain() {},
      onClose: () => done(open ? heard() : 'failed'),
    }
    const stream: TunnelStream = tunnel.openStream(service, NOBODY, handler)
  })
}
