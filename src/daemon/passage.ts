// Whether programs of this machine get through to kt: asked from another process, since the engine's own questions pass no
// firewall, no routing rule and no resolver. See probe.ts.
import { spawn } from 'node:child_process'
import { quietPipes } from '../base/children.ts'
import { programArguments } from '../base/installation.ts'
import type { Fault } from '../host/fault.ts'
import type { Stack } from '../stack/api.ts'
import { IpAddress } from '../wire/address.ts'
import { sample } from '../wire/prefix.ts'
import type { ProbeAnswer, ProbeRequest } from './probe.ts'

/** tcpmux (RFC 1078), which no service of a cluster has: on one address a range it is answered here. */
const PROBE_PORT = 1
// Each is a connection at each look, and those of one range are alike.
const MOST_RANGES = 16
// A machine under load starts a process slowly.
const START_MS = 4_000

/** What a Passage needs of names. */
interface Names {
  /** A name that the cluster has; undefined where names are not kt's. */
  readonly knownName: string | undefined
  readonly mode: 'resolved' | 'resolvconf' | 'none'
  /** Rejects with ToldError when the cluster's resolver does not answer. */
  verify(): Promise<string>
}

/** The way from this machine's programs to kt. */
export class Passage {
  readonly #names: Names
  readonly #ranges: readonly string[]

  /** `ranges`: those whose probes are answered. */
  constructor(names: Names, ranges: readonly string[]) {
    this.#names = names
    this.#ranges = ranges
  }

  /** What keeps programs from kt, and names from programs; the latter only while the cluster can be asked. Never rejects. */
  async look(connected: boolean, timeoutMs: number): Promise<Fault[]> {
    const name = connected ? this.#names.knownName : undefined
    const unanswered = name === undefined ? Promise.resolve([]) : this.#names.verify().then(() => [], faultOf)
    const answer = await probe(name, this.#ranges, timeoutMs).catch((error: Error) => error)
    const own = await unanswered
    if (answer instanceof Error) return [...own, notProbed(answer)]
    // A resolver that kt cannot reach either is no fault of this machine.
    return [...own, ...judgeProbe(answer, own.length > 0 ? undefined : name, this.#ranges, this.#names.mode)]
  }
}

function notProbed({ message }: Error): Fault {
  const said = `kt cannot see whether programs reach it: ${message}`
  return { code: 'probe', message: said, hint: 'try with a program of yours; `ulimit -u` shows how many may run' }
}

function faultOf(error: Error & { code?: string; hint?: string }): Fault[] {
  return [{ code: error.code ?? 'names', message: error.message, hint: error.hint ?? '`kt logs` may say more' }]
}

/** Answers the probe's connections to the first ranges; returns those. */
export function answerProbes(stack: Stack, routes: readonly string[], wake: () => void): string[] {
  const answered = routes.slice(0, MOST_RANGES)
  for (const route of answered) {
    const local = { address: IpAddress.parse(sample(route)), port: PROBE_PORT }
    stack.listenTcp(local, (flow) => {
      flow.accept()
      const close = () => {
        flow.end()
        wake()
      }
      return { onData: (_, start, end) => end - start, onEnd: close, onAcked: () => {}, onClose: () => {} }
    })
  }
  return answered
}

/** Runs the probe. `name`: one that the cluster has; undefined where names are not kt's. Rejects if it cannot be run. */
function probe(name: string | undefined, ranges: readonly string[], timeoutMs: number): Promise<ProbeAnswer> {
  const targets = ranges.map((range) => ({ address: sample(range), port: PROBE_PORT }))
  const request: ProbeRequest = { name, targets, timeoutMs }
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...programArguments('probe'), JSON.stringify(request)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeoutMs + START_MS,
      killSignal: 'SIGKILL',
      cwd: '/',
    })
    quietPipes(child)
    let output = ''
    let complaint = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-2_000)
    })
    // Its line is enough: Node lets no process end while getaddrinfo waits, which may be for half a minute.
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (!output.endsWith('\n')) return
      child.kill('SIGKILL')
      try {
        resolve(JSON.parse(output) as ProbeAnswer)
      } catch (error) {
        reject(error as Error)
      }
    })
    child.on('error', reject)
    child.on('close', (code, signal) =>
      reject(new Error(`it ended (${signal ?? `exit code ${code}`}) ${complaint.trim().split('\n').at(-1)}`.trim())),
    )
  })
}

const words: Record<string, string> = {
  ETIMEDOUT: 'there was no answer',
  ECONNREFUSED: 'it was refused on the way',
  EADDRNOTAVAIL: 'this machine has no address of that family',
  EHOSTUNREACH: 'this machine says that the host is unreachable',
  ENETUNREACH: 'this machine has no route there',
  EACCES: 'this machine does not permit it',
  EPERM: 'this machine does not permit it',
  ENOTFOUND: 'the name is not known',
  EAI_AGAIN: 'there was no answer',
}

const KEPT_AWAY =
  "a firewall or another VPN's rules keep it away: `sudo nft list ruleset` and `ip rule` show them; let it pass on kt's device"
// What the kernel says when kt0's own address of that family is gone.
const ADDRESSES_GONE =
  'if IPv6 was switched off on purpose, nothing is to be done: IPv4 goes on; `sysctl net.ipv6.conf.all.disable_ipv6` shows it'

/** What the probe's answer means, in words. Nothing if all is well. */
export function judgeProbe(
  { name: nameError, targets }: ProbeAnswer,
  name: string | undefined,
  ranges: readonly string[],
  mode: 'resolved' | 'resolvconf' | 'none',
): Fault[] {
  const faults: Fault[] = []
  const lost = ranges.filter((_, i) => targets[i] !== null)
  if (lost.length > 0) {
    const codes = new Set(targets.filter((code) => code !== null))
    const why = [...codes].map((code) => words[code] ?? code).join('; ')
    const all = lost.length === ranges.length
    const what = all ? 'nothing that programs send' : `nothing that programs send to ${lost.join(', ')}`
    const message = `${what} reaches kt: ${why}`
    const hint = lost.every((range) => range.includes(':')) && codes.has('EADDRNOTAVAIL') ? ADDRESSES_GONE : KEPT_AWAY
    faults.push({ code: all ? 'no-passage' : 'some-passage', message, hint })
  }
  if (name !== undefined && nameError !== null && lost.length < ranges.length) {
    const message = `programs find no names of the cluster's: ${name}: ${words[nameError] ?? nameError}`
    const hint =
      mode === 'resolved'
        ? `\`resolvectl query ${name}\` shows who is asked; a firewall may keep UDP port 53 from kt's server`
        : 'see /etc/resolv.conf, and in /etc/nsswitch.conf the line hosts, which needs dns; a firewall may keep UDP port 53 away'
    faults.push({ code: 'no-names', message, hint })
  }
  return faults
}
