// Starts servers. A server of Node's reports each connection that it could not accept (no descriptor is left) as an `error`,
// and one that nobody expects ends the process.
import type { ListenOptions, Server } from 'node:net'

/** Rejects with what the kernel said. Errors after that cost one connection each, and are no failure of the server. */
export function listening(server: Server, where: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.on('error', reject)
    server.listen(where, resolve)
  })
}
