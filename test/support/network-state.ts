// What kt may change of a machine, and must put back: addresses, routes and rules of both families, the resolver's file
// byte for byte, /etc/hosts. Two snapshots compare to a list of differences that a person can read.

/** Runs a command on the machine in question, as root; resolves to its standard output. */
export type RunAsRoot = (command: string[]) => Promise<string>

/** Text by what it is of, one line a fact. */
export type NetworkState = Record<string, string>

const commands: Record<string, string> = {
  devices: 'ip -o link show | cut -d: -f2 | tr -d " "',
  addresses: 'ip -j addr show',
  'IPv4 routes': 'ip -j -4 route show table all',
  'IPv6 routes': 'ip -j -6 route show table all',
  'IPv4 rules': 'ip -4 rule show',
  'IPv6 rules': 'ip -6 rule show',
  '/etc/resolv.conf': 'base64 -w0 /etc/resolv.conf',
  // Not the inode and not the times: type, mode, owner, size, and where a link leads.
  'kind of /etc/resolv.conf': 'stat -c "%F %a %u:%g %s %N" /etc/resolv.conf',
  '/etc/hosts': 'base64 -w0 /etc/hosts',
  'files beside /etc/resolv.conf': 'ls -A /etc | grep -i resolv',
}

const separator = '-----kt-state-----'

export async function networkState(run: RunAsRoot): Promise<NetworkState> {
  const names = Object.keys(commands)
  const script = names.map((name) => `${commands[name]} 2>&1`).join(`\necho; echo ${separator}\n`)
  const parts = (await run(['sh', '-c', script])).split(separator)
  return Object.fromEntries(names.map((name, i) => [name, normalise(name, (parts[i] ?? '').trim())]))
}

/** JSON of `ip` to one sorted line a fact, without what changes by itself (times to live, states of the cable). */
function normalise(name: string, text: string): string {
  if (name.startsWith('/etc/')) return Buffer.from(text, 'base64').toString('latin1')
  if (!text.startsWith('[')) return text
  const entries = JSON.parse(text) as Record<string, unknown>[]
  const lines =
    name === 'addresses'
      ? entries.flatMap((device) => addressLines(device as unknown as Device))
      : entries
          // Learned neighbours and clones of the kernel come and go.
          .filter((route) => !(route['flags'] as string[] | undefined)?.includes('cloned'))
          .map(({ flags: _flags, expires: _expires, cache: _cache, used: _used, ...route }) => JSON.stringify(route))
  return lines.sort().join('\n')
}

interface Device {
  ifname: string
  mtu: number
  addr_info: { local: string; prefixlen: number; scope: string }[]
}

function addressLines({ ifname, mtu, addr_info }: Device): string[] {
  return [`${ifname} mtu ${mtu}`, ...addr_info.map((a) => `${ifname} ${a.local}/${a.prefixlen} ${a.scope}`)]
}

/** Empty when nothing differs; else a line a difference: `IPv4 routes: gone: {...}`, `... new: {...}`. */
export function stateDifferences(before: NetworkState, after: NetworkState): string[] {
  return Object.keys(commands).flatMap((name) => {
    const [was, is] = [before[name], after[name]]
    if (was === is) return []
    const [old, now] = [was.split('\n'), is.split('\n')]
    const gone = old.filter((line) => !now.includes(line)).map((line) => `${name}: gone: ${line}`)
    const fresh = now.filter((line) => !old.includes(line)).map((line) => `${name}: new: ${line}`)
    return gone.length + fresh.length > 0 ? [...gone, ...fresh] : [`${name}: other order or number of lines`]
  })
}
