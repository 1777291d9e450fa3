// The parts of ssh2 1.17.0 that have no types: loaded singly, so that the agent's bundle holds no SFTP and no ssh-agent code.
declare module 'ssh2/lib/server.js' {
  import type { Server } from 'ssh2'

  const server: typeof Server
  export default server
}
declare module 'ssh2/lib/client.js' {
  import type { Client } from 'ssh2'

  const client: typeof Client
  export default client
}
declare module 'ssh2/lib/protocol/keyParser.js' {
  import type { ParsedKey } from 'ssh2'

  const keyParser: { parseKey(data: string | Buffer): ParsedKey | ParsedKey[] | Error }
  export default keyParser
}
declare module 'ssh2/lib/protocol/crypto.js' {
  const crypto: { bindingAvailable: boolean }
  export default crypto
}
declare module 'ssh2/lib/protocol/utils.js' {
  const utils: { sendPacket(protocol: unknown, packet: Buffer): boolean }
  export default utils
}
