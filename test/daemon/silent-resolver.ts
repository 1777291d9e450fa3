// Run by self-check.test.ts in namespaces of its own, where /etc/resolv.conf names this program, which answers nothing:
// getaddrinfo waits for ten seconds, and so long no process that has called it ends. Prints what the probe finds.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { Passage } from '../../src/daemon/passage.ts'
import { sample } from '../../src/wire/prefix.ts'

const range = '127.0.0.0/8'
const resolver = createSocket('udp4').bind(53, '127.0.0.1')
const server = createServer((socket) => socket.on('error', () => {})).listen(1, sample(range))
await Promise.all([once(resolver, 'listening'), once(server, 'listening')])
const names = { knownName: 'kubernetes.test', mode: 'resolvconf' as const, verify: async () => '' }
console.log(JSON.stringify(await new Passage(names, [range]).look(true, 300)))
server.close()
resolver.close()
