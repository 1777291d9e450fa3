// resolv.conf(5) as text: what it says, and what ours says in its place. Pure.

export interface ResolvConf {
  /** As written, zone suffix included. */
  nameservers: string[]
  search: string[]
}

/** Reads the servers and the search list (`domain` counts as a list of one; of both the last wins, resolv.conf(5)). */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = []
  let search: string[] = []
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line.trim().split(/\s+/)
    if (keyword === 'nameserver' && values[0]) nameservers.push(values[0])
    else if (keyword === 'search') search = values.filter((value) => value !== '.')
    else if (keyword === 'domain' && values[0] && values[0] !== '.') search = [values[0]]
  }
  return { nameservers, search }
}

const MARKER = '# kt is connected and answers here; `kt down` restores this file. Connection '

/** The line that says whose file this is; `owner` is unique to one run of the helper. */
export function marker(owner: string): string {
  return MARKER + owner
}

/** Whose marker the file bears, undefined if it is nobody's of kt. */
export function markedBy(text: string): string | undefined {
  const line = text.split('\n').find((candidate) => candidate.startsWith(MARKER))
  return line?.slice(MARKER.length).trim()
}

/** Our file: our servers, and everything of the old one that is not a server (search list, options, sort list). */
export function composeResolvConf(owner: string, servers: readonly string[], before: string): string {
  const kept = before
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /^(search|domain|options|sortlist)\s/.test(line))
  return [marker(owner), ...servers.map((server) => `nameserver ${server}`), ...kept, ''].join('\n')
}
