// Whose the other kt on this machine is, where two users meet: by its journal for root, by the folder of its control socket
// for everybody else.
import type { Effects } from './effects.ts'
import { writersOf } from './journal.ts'
import { ownerText } from './system.ts'

/** Those of `devices` that other users' kt has opened, with whose they are in words. */
export async function otherKts(effects: Effects, devices: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  const candidates = devices.filter((device) => /^kt\d+$/.test(device))
  if (candidates.length === 0) return found
  const journals = quietly(() => writersOf(effects)) ?? []
  for (const { uid, devices: opened } of journals)
    for (const device of opened) if (candidates.includes(device)) found.set(device, await userName(uid, effects))
  // Who may not read journals sees the folders. With one other user there is no doubt.
  const uids = (quietly(() => effects.files.list(effects.paths.run)) ?? [])
    .map(Number)
    .filter((uid) => Number.isInteger(uid) && uid !== process.getuid!())
  if (journals.length === 0 && uids.length === 1)
    for (const device of candidates) found.set(device, await userName(uids[0], effects))
  return found
}

/** Whose helper has put its marker into resolv.conf. */
export async function writerOfMarker(marker: string, effects: Effects): Promise<string | undefined> {
  const writer = writersOf(effects).find(({ owner }) => ownerText(owner) === marker)
  return writer && (await userName(writer.uid, effects))
}

async function userName(uid: number, effects: Effects): Promise<string> {
  const passwd = await effects.run(['getent', 'passwd', String(uid)]).catch(() => undefined)
  const [name] = passwd?.code === 0 ? passwd.stdout.split(':') : ['']
  return name ? `${name} (uid ${uid})` : `the user with uid ${uid}`
}

function quietly<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
