// While connected: has the machine looked at when something has changed, and tells the engine what was found.
import type { Clock } from '../../base/clock.ts'
import type { Effects } from '../../host/effects.ts'
import type { Fault } from '../../host/fault.ts'
import { MachineGuard } from '../../host/guard.ts'
import type { Host } from '../../host/host.ts'
import { type MachineWatch, watchFile, watchFolder, watchKernel, watchMachine } from '../../host/linux/watch.ts'
import type { HelperEvent } from './protocol.ts'

/** A change of a network is several of the kernel's. */
const KERNEL_MS = 50

export interface MachineWatchDeps {
  host: Host
  effects: Effects
  clock: Clock
  log: (line: string) => void
  send(event: HelperEvent): void
  /** Runs a task when no request is being served. Settles as the task does. */
  inTurn<T>(task: () => Promise<T>): Promise<T>
}

export class HelperWatch {
  readonly #deps: MachineWatchDeps
  readonly #guard: MachineGuard
  readonly #watch: MachineWatch
  readonly #stops: (() => void)[]
  #told = '[]'
  #cancelKernel: (() => void) | undefined

  /** Watches until closed. */
  constructor(deps: MachineWatchDeps) {
    this.#deps = deps
    const { host, effects, clock, log } = deps
    this.#guard = new MachineGuard(host, clock.now)
    this.#watch = watchMachine(() => deps.inTurn(() => this.look()).then((faults) => faults.length > 0), clock)
    const changed = () => this.#watch.changed()
    const unwatched = (what: string) => (error: Error) => log(`${what} is not watched: ${error.message}`)
    const { resolvedLinks } = effects.paths
    const resolvConf = host.resolvConfPath
    const kernelChanged = () => {
      changed()
      this.#tellOfKernel()
    }
    this.#stops = [watchKernel(effects.follow, clock, kernelChanged, log), () => this.#cancelKernel?.()]
    if (host.mode === 'resolvconf' || host.mode === 'resolved')
      this.#stops.push(watchFile(resolvConf, changed, unwatched(resolvConf)))
    if (host.mode === 'resolved')
      this.#stops.push(watchFolder(resolvedLinks, () => true, changed, unwatched('systemd-resolved')))
  }

  /** Looks now. To be called in turn. Never rejects. */
  async look(): Promise<Fault[]> {
    const { log, send } = this.#deps
    try {
      const { faults, repaired, resolvConf } = await this.#guard.check()
      if (resolvConf) {
        log(`resolv.conf was rewritten; ${resolvConf.reclaimed ? 'put ours back' : 'left as it is'}`)
        send({ event: 'resolv-conf-changed', ...resolvConf })
      }
      this.#tell(faults, repaired)
      return faults
    } catch (error) {
      const message = `this machine cannot be looked at: ${(error as Error).message.split('\n')[0]}`
      const fault = { code: 'machine', message, hint: '`kt logs` may say more' }
      this.#tell([fault], [])
      return [fault]
    }
  }

  /** Soon, whether or not the machine is being looked at: the engine's connections may be dead. */
  #tellOfKernel(): void {
    this.#cancelKernel ??= this.#deps.clock.after(KERNEL_MS, () => {
      this.#cancelKernel = undefined
      this.#deps.send({ event: 'kernel' })
    })
  }

  #tell(faults: Fault[], repaired: Fault[]): void {
    const now = JSON.stringify(faults)
    if (now === this.#told && repaired.length === 0) return
    this.#told = now
    for (const { message } of faults) this.#deps.log(`not as it should be: ${message}`)
    this.#deps.send({ event: 'machine', faults, repaired })
  }

  close(): void {
    this.#watch.close()
    for (const stop of this.#stops) stop()
  }
}
