// What is left in a shell's network namespace after its launcher: programs that a launcher which was killed could not end.
import { readdirSync, readlinkSync } from 'node:fs'

/** `4026532008` of `net:[4026532008]`; undefined for a process that has gone or may not be looked at. */
export function networkOf(pid: string): string | undefined {
  try {
    return /^net:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/ns/net`))?.[1]
  } catch {
    return undefined
  }
}

/** Kills each process whose network namespace is `network`. Returns how many there were. */
export function killAllIn(network: string): number {
  // Whatever goes wrong: never this machine's own namespace.
  if (network === networkOf('self')) return 0
  const found = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && networkOf(name) === network)
  for (const pid of found) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
  }
  return found.length
}
