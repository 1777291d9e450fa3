// What kt relies on inside ssh2 and what it replaces there, beyond ssh2's documented interface. Checked for the version below.
// Before another version is taken, each line has to be checked again; a test holds that no other inside is used.
//
// | inside of ssh2 | used in | for what |
// | --- | --- | --- |
// | `Client` and `Server` by file (`ssh2/lib/...`) | ssh-session.ts, ssh-server.ts | the agent's bundle has no SFTP and no ssh-agent code |
// | `Client._protocol`, `Connection._protocol` | internals.ts | the way to all below |
// | `_handlers.CHANNEL_*` | internals.ts | replaced: our channels get their messages before ssh2's do |
// | `_packetRW.write`, `utils.sendPacket` | internals.ts | our channel messages are put together and sent |
// | `_kexinit`, `_destruct` | internals.ts | a key exchange is under way; the connection is lost |
// | `_cipher`: `encrypt`, `allocPacket` | packets.ts | replaced: packets are written where the transport sends them from |
// | `_cipher`: `_onWrite`, `_dead`, `_encSSLName`, `_encKey`, `_encIV` | packets.ts | read: how the packet is encrypted |
// | `_decipher`: `decrypt` | unpack.ts, gcm-decipher.ts | replaced: packets are decrypted into memory of ours |
// | `_decipher`: `_onPayload`, `_callbacks`, `_decipherSSLName`, `_decipherKey`, `_decipherIV`, `_lenBytes`, `_pktLen` | unpack.ts, gcm-decipher.ts | read and kept up to date |
// | `_remoteVer` | ssh-session.ts | whether the other side is our agent |
// | `Connection._sock`, `Server.injectSocket` | ssh-server.ts | a connection over a transport that is no socket |
// | `_readableState.ended` of its socket | socket.ts | ssh2 asks for it before each write |
// | an identification in more than two pieces loses bytes | socket.ts | it gets whole lines first |
import manifest from 'ssh2/package.json' with { type: 'json' }

const CHECKED = '1.17.0'

/** Throws Error when this is another ssh2 than the one whose insides were checked. */
export function requireCheckedSsh2(version: string = manifest.version): void {
  if (version !== CHECKED)
    throw new Error(`kt relies on insides of ssh2 ${CHECKED}, and this is ssh2 ${version}: install kt again`)
}
