// Network namespaces for the lab: made, joined by veth pairs, and removed with everything that runs in them. All is done
// by iproute2 and by process id; nothing outside namespaces named kt-lab-* is touched.
import { execFileSync } from 'node:child_process'
import { accessSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export class LabError extends Error {}

const prefix = 'kt-lab-'
const netnsFolder = '/run/netns'

/** Throws LabError, one line, when this machine cannot hold a lab. */
export function checkPrerequisites(): void {
  if (process.platform !== 'linux') throw new LabError(`the lab needs Linux, not ${process.platform}`)
  if (process.getuid?.() !== 0) throw new LabError('the lab makes network namespaces and needs root: run it with sudo')
  const missing = [
    ['ip', 'iproute2'],
    ['nsenter', 'util-linux'],
    ['unshare', 'util-linux'],
    ['setpriv', 'util-linux'],
    ['mount', 'mount'],
  ].find(([program]) => !findProgram(program))
  if (missing) throw new LabError(`the program ${missing[0]} is missing: apt-get install ${missing[1]}`)
  if (!existsSync('/dev/net/tun'))
    throw new LabError('/dev/net/tun is missing: modprobe tun, or give it to the container (--device /dev/net/tun)')
  try {
    accessSync('/dev/net/tun')
  } catch {
    throw new LabError('/dev/net/tun may not be opened')
  }
}

/** Path of a program, looked for where root's programs are, too. */
export function findProgram(name: string): string | undefined {
  return [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin', '/usr/bin', '/bin']
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path))
}

/** Runs `ip` with words as on a command line. Throws with what it said. */
export function ip(...words: string[]): string {
  try {
    return execFileSync('ip', words.join(' ').split(' '), { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' })
  } catch (error) {
    const said = String((error as { stderr?: string }).stderr ?? error).trim()
    const hint = /not permitted|denied/.test(said) ? ' (a container needs --privileged for this)' : ''
    throw new LabError(`ip ${words.join(' ')}: ${said}${hint}`)
  }
}

/** A new namespace with its loopback up. */
export function addNamespace(name: string): void {
  ip('netns add', name)
  ip('-n', name, 'link set lo up')
}

/** A cable between two namespaces. Addresses are `address/length`; no duplicate address detection, so they work at once. */
export function connect(
  a: string,
  aDevice: string,
  aAddresses: string[],
  b: string,
  bDevice: string,
  bAddresses: string[],
) {
  ip('-n', a, 'link add', aDevice, 'type veth peer name', bDevice, 'netns', b)
  for (const [namespace, device, addresses, linkLocal] of [
    [a, aDevice, aAddresses, 'fe80::1/64'],
    [b, bDevice, bAddresses, 'fe80::2/64'],
  ] as const) {
    for (const address of addresses) addAddress(namespace, device, address)
    // A link-local address of its own making would come a second later, and the machine's state is to stay as it was;
    // one there must be, since neighbours are probed from it.
    ip('-n', namespace, 'link set', device, 'addrgenmode none')
    addAddress(namespace, device, linkLocal)
    ip('-n', namespace, 'link set', device, 'up')
  }
}

export function addAddress(namespace: string, device: string, address: string): void {
  ip('-n', namespace, 'addr add', address, 'dev', device, ...(address.includes(':') ? ['nodad'] : []))
}

/** Sets sysctls inside a namespace: `net/ipv4/ip_forward`. */
export function setSysctls(namespace: string, settings: Record<string, string>): void {
  const commands = Object.entries(settings).map(([path, value]) => `echo '${value}' >/proc/sys/${path}`)
  execFileSync('nsenter', [`--net=${netnsFolder}/${namespace}`, 'sh', '-c', commands.join(' && ')])
}

/** Process ids in a namespace. */
export function pidsIn(namespace: string): number[] {
  if (!existsSync(join(netnsFolder, namespace))) return []
  return ip('netns pids', namespace).split('\n').filter(Boolean).map(Number)
}

/** Ends what runs in the namespaces, by process id, and removes them. Never throws. */
export function removeNamespaces(names: string[]): void {
  for (const name of names)
    try {
      for (const pid of pidsIn(name)) process.kill(pid, 'SIGKILL')
    } catch {} // gone meanwhile
  for (const name of names)
    try {
      if (existsSync(join(netnsFolder, name))) ip('netns del', name)
    } catch {}
}

/** A process as it cannot be mistaken for a later one of the same id: `PID START-TIME`. */
export function processMark(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return `${pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}` // proc(5): field 22, starttime
  } catch {
    return undefined
  }
}

export const labFolder = (name: string) => join(tmpdir(), name)

/** Removes namespaces and folders of labs whose process is dead. Returns their names. */
export function cleanStale(): string[] {
  const folders = readdirSync(tmpdir()).filter((name) => name.startsWith(prefix))
  const namespaces = existsSync(netnsFolder) ? readdirSync(netnsFolder).filter((name) => name.startsWith(prefix)) : []
  const labs = new Set([...folders, ...namespaces.map((name) => name.slice(0, name.lastIndexOf('-')))])
  const stale = [...labs].filter((lab) => {
    const pid = Number(/^kt-lab-(\d+)/.exec(lab)?.[1])
    const owner = join(labFolder(lab), 'owner')
    const mark = processMark(pid)
    return mark === undefined || (existsSync(owner) && readFileSync(owner, 'utf8') !== mark)
  })
  for (const lab of stale) {
    removeNamespaces(namespaces.filter((name) => name.startsWith(`${lab}-`)))
    rmSync(labFolder(lab), { recursive: true, force: true })
  }
  return stale
}
