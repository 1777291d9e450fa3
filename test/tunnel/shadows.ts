// Shadows on this machine for the tests: our agent in this process, or OpenSSH's sshd as a child on a free port.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { generateSshKeyPair } from '../../src/cluster/ssh-key.ts'
import { type AgentServerOptions, createAgentServer } from '../../src/shadow/agent-server.ts'
import { Claims } from '../../src/shadow/claims.ts'
import { Departure } from '../../src/shadow/departure.ts'
import { EmptyAnswer } from '../../src/shadow/empty-answer.ts'
import { type PortServer, servePorts } from '../../src/shadow/port-server.ts'
import type { AgentPort } from '../../src/shadow/ports.ts'
import { RelaySet } from '../../src/shadow/relay.ts'

export interface Shadow {
  kind: 'agent' | 'sshd'
  port: number
  username: string
  clientKey: string
  hostKey: string
  /** Of the agent: connections it holds. */
  relays(): number
  stop(): Promise<void>
}

/** `ports`: what the agent serves for the cluster; in its first `firstClaimMs` connections wait for a claim. */
export async function startAgent(
  options: Partial<AgentServerOptions> = {},
  ports: readonly AgentPort[] = [],
  firstClaimMs = 0,
): Promise<Shadow> {
  const host = generateSshKeyPair('host')
  const client = generateSshKeyPair('client')
  const relays = new RelaySet()
  const claims = new Claims(ports, () => {})
  const emptyAnswer = new EmptyAnswer(systemClock)
  const agent = createAgentServer({
    version: 'test',
    hostKey: host.privateKey,
    authorized: client.publicLine,
    relays,
    claims,
    pinger: undefined,
    resolvConfPath: '/etc/resolv.conf',
    emptyAnswer,
    departure: new Departure(20_000),
    clock: systemClock,
    random: systemRandom,
    lineWaitMs: 60_000,
    log: () => {},
    onSessions: () => {},
    onChange: () => {},
    ...options,
  })
  const log = () => {}
  const served: PortServer = await servePorts({ claims, relays, emptyAnswer, firstClaimMs, clock: systemClock, log })
  const server = createServer({ pauseOnConnect: true, noDelay: true }, agent.serve)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    kind: 'agent',
    port: (server.address() as AddressInfo).port,
    username: 'kt',
    clientKey: client.privateKey,
    hostKey: host.publicKey,
    relays: () => relays.size,
    async stop() {
      agent.close()
      served.close()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const SSHD = '/usr/sbin/sshd'

/** Why there is no sshd to test with; undefined if there is. */
export function sshdMissing(): string | undefined {
  if (!existsSync(SSHD)) return 'no /usr/sbin/sshd on this machine'
  if (process.getuid?.() !== 0) return 'sshd needs root'
  return undefined
}

export async function startSshd(): Promise<Shadow> {
  const folder = mkdtempSync(join(tmpdir(), 'kt-sshd-'))
  const host = generateSshKeyPair('host')
  const client = generateSshKeyPair('client')
  writeFileSync(join(folder, 'host_key'), host.privateKey, { mode: 0o600 })
  writeFileSync(join(folder, 'authorized'), `${client.publicLine}\n`, { mode: 0o600 })
  mkdirSync('/run/sshd', { recursive: true }) // its privilege separation insists on it
  const port = await freePort()
  writeFileSync(
    join(folder, 'config'),
    `Port ${port}
ListenAddress 127.0.0.1
HostKey ${folder}/host_key
AuthorizedKeysFile ${folder}/authorized
StrictModes no
PasswordAuthentication no
PermitRootLogin yes
AllowTcpForwarding yes
MaxStartups 100
PidFile none
UsePAM no
`,
  )
  const child = spawn(SSHD, ['-D', '-e', '-f', join(folder, 'config')], { stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = new Promise<void>((resolve) => child.on('exit', () => resolve()))
  await new Promise<void>((resolve, reject) => {
    let said = ''
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      if (said.includes('Server listening')) resolve()
    })
    child.on('exit', () => reject(new Error(`sshd ended: ${said}`)))
  })
  return {
    kind: 'sshd',
    port,
    username: userInfo().username,
    clientKey: client.privateKey,
    hostKey: host.publicKey,
    relays: () => 0,
    async stop() {
      child.kill()
      await exited
      rmSync(folder, { recursive: true })
    },
  }
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
