// `kt status --watch`: the status with the last minute's traffic and round trips as a line of bars each.
import type { Status } from '../control/protocol.ts'
import { bold, dim, formatBytes } from './output.ts'

/** Seconds shown. */
const WIDTH = 60
const BARS = ' ▁▂▃▄▅▆▇█'

export class StatusView {
  readonly #in: number[] = []
  readonly #out: number[] = []
  readonly #roundTrip: number[] = []
  #before: { at: number; in: number; out: number } | undefined

  /** `status` with `lines` of it for people, at `now` ms. */
  lines(status: Status, lines: string[], now: number, out: NodeJS.WriteStream): string[] {
    const { bytes, roundTripMs } = status
    if (this.#before) {
      const seconds = Math.max(0.001, (now - this.#before.at) / 1000)
      push(this.#in, Math.max(0, bytes.in - this.#before.in) / seconds)
      push(this.#out, Math.max(0, bytes.out - this.#before.out) / seconds)
    }
    this.#before = { at: now, ...bytes }
    push(this.#roundTrip, roundTripMs ?? 0)
    const curve = (name: string, values: number[], unit: (value: number) => string) =>
      `${dim(out, name.padEnd(10))}  ${bars(values)}  ${unit(values.at(-1) ?? 0)}${dim(out, `, most ${unit(Math.max(0, ...values))}`)}`
    return [
      `${bold(out, 'kt')}   ${dim(out, 'q leaves')}`,
      '',
      ...lines,
      '',
      curve('received', this.#in, (value) => `${formatBytes(Math.round(value))}/s`),
      curve('sent', this.#out, (value) => `${formatBytes(Math.round(value))}/s`),
      curve('round trip', this.#roundTrip, (value) => `${value.toFixed(1)} ms`),
    ]
  }
}

function push(values: number[], value: number): void {
  values.push(value)
  if (values.length > WIDTH) values.shift()
}

/** One character a value, the largest in full height. */
function bars(values: number[]): string {
  const most = Math.max(...values)
  const bar = (value: number) => BARS[most > 0 ? Math.ceil((value / most) * (BARS.length - 1)) : 0]
  return values.map(bar).join('').padStart(WIDTH)
}
