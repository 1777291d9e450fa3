// Watches the machine while connected and has it looked at when something has changed: links, addresses, routes and rules
// (by `ip monitor`), /etc/resolv.conf and systemd-resolved's files (by the file system), and all of it now and then, since
// not every change is told.
import { type FSWatcher, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { type Follow, followForEver } from './follow.ts'

// Programs change a file or a device in several steps. kt looks when they are done.
const SETTLE_MS = 100
// How often a machine is looked at whose routes change all the time, as containers come and go.
const LEAST_BETWEEN_MS = 1_000
const POLL_MS = 60_000
/** While something is wrong, its end is to be seen soon. */
const POLL_FAULT_MS = 5_000

export interface MachineWatch {
  /** Something has changed: look soon. */
  changed(): void
  close(): void
}

/**
 * Calls `look` after each change, never twice at once, and every minute. `look` resolves to whether something is wrong;
 * its rejection counts as that.
 */
export function watchMachine(look: () => Promise<boolean>, clock: Clock): MachineWatch {
  let cancel: (() => void) | undefined
  let due = Number.POSITIVE_INFINITY
  let looking = false
  let again = false
  let last = Number.NEGATIVE_INFINITY
  let closed = false
  const arm = (ms: number) => {
    const at = clock.now() + ms
    if (closed || at >= due) return
    cancel?.()
    due = at
    cancel = clock.after(ms, () => void run())
  }
  const run = async () => {
    due = Number.POSITIVE_INFINITY
    looking = true
    const wrong = await look().catch(() => true)
    looking = false
    last = clock.now()
    arm(wrong ? POLL_FAULT_MS : POLL_MS)
    if (again) changed()
  }
  const changed = () => {
    again = looking
    if (!looking) arm(Math.max(SETTLE_MS, last + LEAST_BETWEEN_MS - clock.now()))
  }
  arm(POLL_MS)
  return {
    changed,
    close() {
      closed = true
      cancel?.()
    },
  }
}

/** Calls back when the file at `path` was changed or replaced; its folder is watched, since files are replaced. */
export function watchFile(path: string, onChange: () => void, onError: (error: Error) => void): () => void {
  return watchFolder(dirname(path), (name) => name === null || name === basename(path), onChange, onError)
}

/** Calls back when a file of the folder that `concerns` was changed. */
export function watchFolder(
  folder: string,
  concerns: (name: string | null) => boolean,
  onChange: () => void,
  onError: (error: Error) => void,
): () => void {
  let watcher: FSWatcher
  try {
    watcher = watch(folder, { persistent: false }, (_event, name) => {
      if (concerns(name)) onChange()
    })
  } catch (error) {
    onError(error as Error)
    return () => {}
  }
  watcher.on('error', onError)
  return () => watcher.close()
}

/** Calls back when the kernel tells of a change of a link, an address, a route or a rule. */
export function watchKernel(
  follow: Follow,
  clock: Clock,
  onChange: () => void,
  log: (line: string) => void,
): () => void {
  return followForEver(follow, ['ip', 'monitor', 'link', 'address', 'route', 'rule'], clock, onChange, log)
}
