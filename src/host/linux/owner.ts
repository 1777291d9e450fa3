// A process, told from a later one of the same number: who wrote a journal, and whom it started.
import * as z from 'zod/mini'
import type { Effects } from '../effects.ts'

export const Owner = z.strictObject({
  pid: z.int(),
  /** Clock ticks since boot, field 22 of /proc/PID/stat (proc(5)). */
  started: z.string(),
  /** /proc/sys/kernel/random/boot_id */
  boot: z.string(),
})
export type Owner = z.infer<typeof Owner>

/** Process `pid` as it is now; undefined if there is none. */
export function ownerOf(pid: number, { files, paths }: Effects): Owner | undefined {
  const stat = files.read(`${paths.proc}/${pid}/stat`)
  if (stat === undefined) return undefined
  // The second field is a name in brackets that may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // proc(5): a zombie has ended; it waits to be noticed.
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined
  return { pid, started: fields[19], boot: files.read(`${paths.proc}/sys/kernel/random/boot_id`)?.trim() ?? '' }
}

export function isAlive(owner: Owner, effects: Effects): boolean {
  const now = ownerOf(owner.pid, effects)
  // After a restart of the machine another process may have the same number and the same start.
  return now !== undefined && now.started === owner.started && now.boot === owner.boot
}

/** Unique to one run of a helper; goes into resolv.conf's marker. */
export function ownerText({ pid, started }: Owner): string {
  return `${pid}-${started}`
}

/** True if the file with this marker is that of a helper that lives. */
export function markerIsAlive(text: string, effects: Effects): boolean {
  const owner = ownerOf(Number(text.split('-')[0]), effects)
  return owner !== undefined && ownerText(owner) === text
}
