// Watches /etc/resolv.conf while it is ours. A program that rewrites it (a DHCP client, another VPN) gets its resolvers
// heard and ours put back; one that insists wins, and the user is told.
import { type FSWatcher, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Host } from './host.ts'

export interface ResolvConfChange {
  upstreams: string[]
  /** False when it was given up: the other program's file stays. */
  reclaimed: boolean
}

export interface Clock {
  now(): number
  /** Calls once after `ms`; returns what takes it back. */
  after(ms: number, call: () => void): () => void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms)
    return () => clearTimeout(timer)
  },
}

// Programs write the file in several steps: look when they are done.
const SETTLE_MS = 100
// Once an hour is a DHCP lease; three times in a minute is a program that insists.
const MOST_RECLAIMS = 3
const WITHIN_MS = 60_000

/** What is done at a change; separate from the watching, so tests can call it. */
export class ResolvConfGuard {
  readonly #host: Pick<Host, 'foreignResolvConf' | 'reclaimResolvConf'>
  readonly #now: () => number
  #reclaims: number[] = []
  #gaveUp = false

  constructor(host: Pick<Host, 'foreignResolvConf' | 'reclaimResolvConf'>, now: () => number) {
    this.#host = host
    this.#now = now
  }

  /** Looks at the file; undefined if it is ours. */
  async check(): Promise<ResolvConfChange | undefined> {
    if (this.#gaveUp) return undefined
    const foreign = await this.#host.foreignResolvConf()
    if (!foreign) return undefined
    const now = this.#now()
    this.#reclaims = this.#reclaims.filter((time) => now - time < WITHIN_MS)
    if (this.#reclaims.length >= MOST_RECLAIMS) {
      this.#gaveUp = true
      return { ...foreign, reclaimed: false }
    }
    this.#reclaims.push(now)
    await this.#host.reclaimResolvConf()
    return { ...foreign, reclaimed: true }
  }
}

/** Watches the folder, since the file is replaced, not written. Returns what ends it. */
export function watchResolvConf(
  path: string,
  guard: ResolvConfGuard,
  clock: Clock,
  onChange: (change: ResolvConfChange) => void,
  onError: (error: Error) => void,
): () => void {
  let cancel: (() => void) | undefined
  let running = Promise.resolve()
  const look = () => {
    cancel = undefined
    running = running.then(async () => {
      try {
        const change = await guard.check()
        if (change) onChange(change)
      } catch (error) {
        onError(error as Error)
      }
    })
  }
  let watcher: FSWatcher
  try {
    watcher = watch(dirname(path), { persistent: false }, (_event, name) => {
      if (name === basename(path) || name === null) cancel ??= clock.after(SETTLE_MS, look)
    })
  } catch (error) {
    onError(error as Error)
    return () => {}
  }
  watcher.on('error', onError)
  return () => {
    cancel?.()
    watcher.close()
  }
}
