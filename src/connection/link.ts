// Keeps one tunnel to one shadow: it sends a heartbeat, and reconnects with back-off when the tunnel is lost, to a new
// shadow if the old one is gone. Effects are injected, so that tests steer loss and time.
import { type Clock, delay } from '../base/clock.ts'
import type { ShadowHandle } from '../cluster/calls.ts'
import type { Tunnel, TunnelLine } from '../tunnel/tunnel.ts'

// A heartbeat goes through the data path every 5 s. A probe that is not answered for three of them is lost.
const HEARTBEAT_MS = 5_000
const PROBE_TIMEOUT_MS = 15_000
const FIRST_RETRY_MS = 200
const MAX_RETRY_MS = 5_000

export interface LinkEffects {
  /** A new shadow and a tunnel to it. */
  connectAnew(): Promise<[ShadowHandle, Tunnel]>
  openTunnel(shadow: ShadowHandle): Promise<Tunnel>
  /** 'gone' also when the pod has ended. */
  shadowState(shadow: ShadowHandle): Promise<'running' | 'starting' | 'gone'>
  /** Removes what is left of a shadow that is gone. Never rejects. */
  discardShadow(shadow: ShadowHandle): Promise<void>
  clock: Clock
  log(line: string): void
  /** The tunnel was lost, with why. */
  onLost(why: string): void
  /** A try to reconnect has failed. */
  onFailed?(error: Error): void
  /** There is a tunnel: the first one, or another after a loss. */
  onConnected(tunnel: Tunnel, shadow: ShadowHandle): void
  /** Nothing comes through the line below the tunnel now. The tunnel is kept; `onResumed` or `onLost` follows. */
  onInterrupted?(why: string): void
  /** After `onInterrupted`: the line goes on. */
  onResumed?(tunnel: Tunnel): void
}

export class Link {
  readonly #effects: LinkEffects
  readonly #stop = new AbortController()
  #tunnel: Tunnel | undefined
  #shadow: ShadowHandle | undefined
  #waiting = new Set<() => void>()
  #retired = false
  reconnects = 0

  constructor(effects: LinkEffects) {
    this.#effects = effects
  }

  get shadow(): ShadowHandle | undefined {
    return this.#shadow
  }

  /** The live tunnel, undefined while there is none. */
  tunnel(): Tunnel | undefined {
    return this.#tunnel
  }

  /** Calls back when there is a tunnel again. Returns how to stop waiting. */
  whenConnected(callback: () => void): () => void {
    this.#waiting.add(callback)
    return () => this.#waiting.delete(callback)
  }

  /** Takes over the first shadow and tunnel, and keeps them from now on. */
  start(shadow: ShadowHandle, tunnel: Tunnel): void {
    this.#shadow = shadow
    this.#adopt(tunnel)
  }

  /** Makes the first shadow and tunnel itself, and keeps them from now on. */
  startAnew(): void {
    void this.#reconnect()
  }

  /** The tunnel serves on; its end is the end of all. */
  retire(): void {
    this.#retired = true
  }

  /** Ends the tunnel for good. The shadow is the caller's to remove. */
  async close(): Promise<void> {
    this.#stop.abort()
    const tunnel = this.#tunnel
    this.#tunnel = undefined
    await tunnel?.close()
  }

  #adopt(tunnel: Tunnel): void {
    this.#tunnel = tunnel
    if (tunnel.line) this.#follow(tunnel.line, tunnel)
    this.#effects.onConnected(tunnel, this.#shadow!)
    const waiting = this.#waiting
    this.#waiting = new Set()
    for (const callback of waiting) callback()
    void this.#heartbeat(tunnel)
    void tunnel.closed.then(({ expected, message }) => {
      if (this.#tunnel === tunnel) this.#tunnel = undefined
      if (expected || this.#stop.signal.aborted) return
      this.#effects.onLost(message)
      if (!this.#retired) void this.#reconnect()
    })
  }

  #follow(line: TunnelLine, tunnel: Tunnel): void {
    const shadow = this.#shadow!
    let interrupted = false
    // A report comes with each answered probe, and most of them say what the one before said.
    line.onChange = ({ state, cause }) => {
      if (this.#tunnel !== tunnel) return
      if (state === 'interrupted' && !interrupted) {
        interrupted = true
        this.#effects.onInterrupted?.(cause ?? 'the line was interrupted')
      } else if (state === 'open' && interrupted) {
        interrupted = false
        this.#effects.onResumed?.(tunnel)
      }
    }
    line.isAlive = async () => (await this.#effects.shadowState(shadow)) !== 'gone'
  }

  async #heartbeat(tunnel: Tunnel): Promise<void> {
    const { signal } = this.#stop
    while (this.#tunnel === tunnel && !signal.aborted) {
      await delay(HEARTBEAT_MS, signal, this.#effects.clock)
      if (this.#tunnel !== tunnel || signal.aborted) return
      try {
        await tunnel.probe(PROBE_TIMEOUT_MS)
      } catch (error) {
        if (this.#tunnel !== tunnel || signal.aborted) return
        this.#effects.log(`heartbeat: ${(error as Error).message}`)
        // A line finds out by itself, and goes on.
        if (tunnel.line) continue
        this.#tunnel = undefined
        void tunnel.close().catch(() => {})
        this.#effects.onLost(`no heartbeat: ${(error as Error).message}`)
        if (!this.#retired) void this.#reconnect()
        return
      }
    }
  }

  async #reconnect(): Promise<void> {
    const { signal } = this.#stop
    let wait = FIRST_RETRY_MS
    while (!signal.aborted) {
      try {
        let tunnel: Tunnel
        if (this.#shadow) tunnel = await this.#effects.openTunnel(this.#shadow)
        else [this.#shadow, tunnel] = await this.#effects.connectAnew()
        if (signal.aborted) {
          await tunnel.close()
          return
        }
        this.reconnects++
        this.#adopt(tunnel)
        return
      } catch (error) {
        if (signal.aborted) return
        this.#effects.log(`reconnect: ${(error as Error).message}`)
        this.#effects.onFailed?.(error as Error)
      }
      // A shadow that is gone is replaced at the next try; one that cannot be asked about is kept.
      const shadow = this.#shadow
      if (shadow) {
        const state = await this.#effects.shadowState(shadow).catch(() => 'unknown')
        if (state === 'gone') {
          this.#effects.log(`reconnect: the shadow ${shadow.pod} is gone; making a new one`)
          this.#shadow = undefined
          // Its Job would make another pod after a while, which nobody needs.
          void this.#effects.discardShadow(shadow)
          continue
        }
      }
      await delay(wait, signal, this.#effects.clock)
      wait = Math.min(MAX_RETRY_MS, wait * 2)
    }
  }
}
