// The files of a container's place in a folder of this machine: written once, and kept as the kubelet keeps them: what changes in the
// cluster changes here, and tokens are renewed before they expire.
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Clock, delay } from '../../base/clock.ts'
import type { ClusterClient } from '../../cluster/calls.ts'
import type { Missing, Place, PlacedMount, PlaceRequest } from '../../cluster/place-calls.ts'
import { type CopyEffects, copyFromPod } from './copy.ts'
import { writePart, writeVolume } from './volume-writer.ts'

// The kubelet's own period is a minute, and longer for what it caches. A developer who has changed a ConfigMap waits for it.
const LOOK_MS = 10_000
/** Of a token's life; and at the latest. pkg/kubelet/token has the same. */
const RENEW_AT = 0.8
const RENEW_MS = 24 * 3600_000

export interface PlaceFilesEffects {
  cluster: Pick<ClusterClient, 'readPlace' | 'podExec'>
  run: CopyEffects['run']
  clock: Clock
  /** For the names of states. */
  wall(): number
  log(line: string): void
  closing: AbortSignal
}

export class PlaceFiles {
  readonly #effects: PlaceFilesEffects
  readonly #request: PlaceRequest
  readonly #folder: string
  #pod: string | null = null
  /** Of a Service kt takes the container that serves it; a pod alone does not say which that is. */
  #container: string | undefined
  #renewAt = Number.POSITIVE_INFINITY
  #trouble = ''

  /** `folder` is there and private. */
  constructor(effects: PlaceFilesEffects, request: Omit<PlaceRequest, 'files' | 'tokens'>, folder: string) {
    this.#effects = effects
    this.#request = { ...request, files: true, tokens: true }
    this.#folder = folder
  }

  /** Reads the place and writes all of it. `most`: bytes that are copied from the pod. Resolves also to what is missing. */
  async write(most: number): Promise<{ place: Place; missing: Missing[] }> {
    const place = await this.#effects.cluster.readPlace(this.#request)
    this.#keptFrom(place)
    const missing = [...place.missingFiles]
    const { closing: signal, cluster, run } = this.#effects
    const except = place.mounts.map(({ path }) => path)
    this.#writeVolumes(place, true)
    for (const { path, content, volume } of place.mounts) {
      if (content.kind !== 'copy') continue
      const why = await copyFromPod({ cluster, run, signal }, place, path, this.#at(path), { except, most })
      if (why) missing.push({ name: `${path} (volume ${volume})`, why })
    }
    // What is mounted inside of a copied volume has gone with what was there before the copy.
    missing.push(...this.#writeVolumes(place, true))
    return { place, missing }
  }

  /** Until `closing`. Never rejects. */
  async keep(): Promise<void> {
    const { clock, closing, log } = this.#effects
    for (;;) {
      await delay(LOOK_MS, closing, clock)
      if (closing.aborted) return
      try {
        await this.#look()
        this.#trouble = ''
      } catch (error) {
        const { message } = error as Error
        if (message !== this.#trouble) log(`files: ${message}`)
        this.#trouble = message
      }
    }
  }

  async #look(): Promise<void> {
    const { cluster, clock } = this.#effects
    const tokens = clock.now() >= this.#renewAt
    // The same pod for as long as it is there.
    const same = this.#pod === null ? this.#request.target : `pod/${this.#pod}`
    const ask = (target: string, anew: boolean) =>
      cluster.readPlace({ ...this.#request, target, container: this.#container, tokens: anew })
    const place = await ask(same, tokens).catch((error: unknown) => {
      // A token of a pod that has gone is not valid any more.
      if ((error as { code?: string }).code === 'target-unknown' && this.#pod !== null)
        return ask(this.#request.target, true)
      throw error
    })
    if (this.#effects.closing.aborted) return
    if (tokens || place.pod !== this.#pod) this.#keptFrom(place)
    for (const { name, why } of this.#writeVolumes(place, false)) this.#effects.log(`files: ${name}: ${why}`)
  }

  #keptFrom({ pod, container, tokenMs }: Place): void {
    this.#pod = pod
    this.#container = container
    this.#renewAt =
      tokenMs === null
        ? Number.POSITIVE_INFINITY
        : this.#effects.clock.now() + Math.min(Math.max(tokenMs * RENEW_AT, LOOK_MS), RENEW_MS)
  }

  /** Returns what could not be written. */
  #writeVolumes(place: Place, first: boolean): Missing[] {
    return place.mounts.flatMap((mount) => {
      try {
        this.#writeVolume(place, mount, first)
        return []
      } catch (error) {
        return { name: mount.path, why: `it cannot be written: ${(error as Error).message}` }
      }
    })
  }

  #writeVolume({ missingFiles }: Place, { path, content }: PlacedMount, first: boolean): void {
    const place = this.#at(path)
    mkdirSync(dirname(place), { recursive: true, mode: 0o755 })
    if (content.kind === 'files') {
      // What cannot be read for a moment stays as it is.
      const unread = !first && missingFiles.some(({ name }) => name.startsWith(`${path}: `))
      if (!unread && writeVolume(place, content.files, new Date(this.#effects.wall())))
        this.#effects.log(`files: ${path} ${first ? 'written' : 'changed'}`)
    } else if (first && content.kind === 'part') writePart(place, content.files)
    else if (first && content.kind === 'empty') mkdirSync(place, { recursive: true, mode: 0o755 })
  }

  #at(path: string): string {
    return join(this.#folder, path)
  }
}
