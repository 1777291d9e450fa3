// A tunnel that a test loses, stalls and interrupts. Its streams are the test's to answer.

import type { LineReport, StreamHandler, Tunnel, TunnelClosed, TunnelLine } from '../../src/tunnel/tunnel.ts'
import type { Endpoint } from '../../src/wire/address.ts'

export class FakeTunnel {
  readonly tunnel: Tunnel
  readonly line: TunnelLine | undefined
  /** It was closed or lost. */
  over = false
  /** The streams that were opened, and what was written to each. */
  readonly streams: { target: Endpoint; handler: StreamHandler; written: string; over: boolean }[] = []
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
      openStream: (target: Endpoint, _origin: Endpoint, handler: StreamHandler) => {
        const stream = { target, handler, written: '', over: false }
        this.streams.push(stream)
        const end = () => void (stream.over = true)
        return {
          write: (buffer: Uint8Array, from: number, to: number) => {
            stream.written += Buffer.from(buffer.subarray(from, to)).toString()
            return to - from
          },
          ...{ end, reset: end, consumed: () => {} },
        }
      },
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
    const paths = { paths: [], wantedPaths: 1, missingPath: undefined }
    return { state, cause, since: 0, resumptions: 0, moves: 0, ...paths, lastGap: undefined, roundTripMs: undefined }
  }
}
