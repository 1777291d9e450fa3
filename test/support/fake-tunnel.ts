// A tunnel that a test loses, stalls and interrupts. What is opened through it does nothing.
import type { LineReport, Tunnel, TunnelClosed, TunnelLine } from '../../src/tunnel/port.ts'

export class FakeTunnel {
  readonly tunnel: Tunnel
  readonly line: TunnelLine | undefined
  /** Tunnels that are not closed or lost. */
  over = false
  /** What each probe comes to. */
  probe: () => Promise<number> = async () => 1
  #end: (closed: TunnelClosed) => void = () => {}

  constructor(options: { line?: boolean } = {}) {
    const closed = new Promise<TunnelClosed>((resolve) => {
      this.#end = (one) => {
        this.over = true
        resolve(one)
      }
    })
    if (options.line) {
      this.line = {
        report: this.#report('open'),
        onChange: () => {},
        isAlive: async () => true,
        suspect: () => {},
      }
    }
    this.tunnel = {
      closed,
      line: this.line,
      info: { kind: 'agent', version: 'fake', capabilities: { udp: true, ping: true, reset: true }, addresses: [] },
      stats: { roundTripMs: 1 },
      leaving: new Promise(() => {}),
      probe: () => this.probe(),
      close: async () => this.#end({ expected: true, message: 'closed here' }),
    } as unknown as Tunnel
  }

  lose(message: string): void {
    this.#end({ expected: false, message })
  }

  stall(): void {
    this.probe = async () => Promise.reject(new Error('no answer'))
  }

  /** What its line says of itself from now on. */
  tell(state: LineReport['state'], cause?: string): void {
    this.line!.onChange(this.#report(state, cause))
  }

  #report(state: LineReport['state'], cause?: string): LineReport {
    return { state, cause, since: 0, resumptions: 0, lastGap: undefined, roundTripMs: undefined }
  }
}
