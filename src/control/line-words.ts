// How the port-forwards below a connection go, and what has happened to them, in words: for `kt status` and the dashboard.
import type { LineStatus } from './protocol.ts'

/** `age` puts a time in ms into words. An engine of an older kt tells less than the type says. */
export function lineWords(line: LineStatus, age: (ms: number) => string): string {
  const times = (count: number) => (count === 1 ? 'once' : `${count} times`)
  const paths = (line.paths ?? []).map(({ way, ageMs, endsInMs }) => {
    const end = endsInMs === null ? '' : `, which something before the API server ends in ${age(endsInMs)}`
    return `a port-forward over ${way === 'websocket' ? 'a WebSocket' : 'SPDY'} for ${age(ageMs)}${end}`
  })
  const lacks = line.state === 'open' && paths.length > 0 && paths.length < (line.wantedPaths ?? 1)
  const second = line.missingPath ? `there is no second one: ${line.missingPath}` : 'a second one is being opened'
  return [
    line.state === 'open' ? paths.join(' and ') : line.state,
    lacks ? second : '',
    line.moves ? `moved in time to another one ${times(line.moves)}` : '',
    line.resumptions ? `went on over a new port-forward ${times(line.resumptions)}` : '',
    line.lastGap ? `the last gap was ${(line.lastGap.ms / 1000).toFixed(1)} s (${line.lastGap.cause})` : '',
  ]
    .filter(Boolean)
    .join('; ')
}
