// One port-forward of `./dev bench forwards`: open it, send bytes through it to a port that echoes, compare what comes back,
// close it. A failure is told by its kind, since the kinds have different causes.
import { randomBytes } from 'node:crypto'
import { type Clock, systemClock } from '../src/base/clock.ts'
import { type Path, pathTransport } from '../src/tunnel/index.ts'

/** `open`: refused or not answered; `ended`: before the echo was there; `silent`: no echo in time; `bytes`: other bytes. */
export type FailureKind = 'open' | 'ended' | 'silent' | 'bytes'

export interface Trial {
  /** From the start until the API server had switched protocols. */
  openMs: number
  /** From the start until the whole echo was there. */
  echoMs: number
  failure?: { kind: FailureKind; message: string }
}

const ECHO_BYTES = 512
const SILENT_MS = 10_000

/** Never rejects. `open` has a time limit of its own. */
export async function tryForward(open: () => Promise<Path>, clock: Clock = systemClock): Promise<Trial> {
  const began = clock.now()
  const since = () => clock.now() - began
  const failed = (kind: FailureKind, message: string, openMs: number): Trial => ({
    ...{ openMs, echoMs: Number.NaN },
    failure: { kind, message },
  })
  let path: Path
  try {
    path = await open()
  } catch (error) {
    return failed('open', (error as Error).message, Number.NaN)
  }
  const openMs = since()
  const transport = pathTransport(path)
  const sent = randomBytes(ECHO_BYTES)
  const result = await new Promise<Trial>((settle) => {
    const cancel = clock.after(SILENT_MS, () => {
      settle(failed('silent', `no echo within ${SILENT_MS / 1000} s`, openMs))
      transport.destroy()
    })
    const got = Buffer.alloc(ECHO_BYTES)
    let length = 0
    transport.start(
      (chunk) => {
        if (length + chunk.length <= ECHO_BYTES) got.set(chunk, length)
        length += chunk.length
        if (length < ECHO_BYTES) return
        const isEcho = length === ECHO_BYTES && got.equals(sent)
        settle(isEcho ? { openMs, echoMs: since() } : failed('bytes', 'what came back is not what was sent', openMs))
        transport.end()
      },
      (error) => {
        cancel()
        // After the echo this changes nothing.
        settle(failed('ended', error?.message ?? 'closed by the other side', openMs))
      },
    )
    transport.write(sent)
  })
  return result
}

/** The value below which `share` of the list is; NaN for an empty one. */
export function quantile(list: readonly number[], share: number): number {
  if (list.length === 0) return Number.NaN
  const sorted = [...list].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
}

/** Failures by kind and message, the most frequent first: `3 ended: port-forward: closed by the cluster`. */
export function failures(trials: readonly Trial[]): string[] {
  const counts = new Map<string, number>()
  for (const { failure } of trials) {
    if (!failure) continue
    const text = `${failure.kind}: ${failure.message}`
    counts.set(text, (counts.get(text) ?? 0) + 1)
  }
  return [...counts].sort(([, a], [, b]) => b - a).map(([text, count]) => `${count} ${text}`)
}
