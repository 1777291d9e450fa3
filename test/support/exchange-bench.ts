// What the tests of the way back need in a real cluster: a namespace with an original, a caller that never stops asking
// it, and a program on the laptop that takes the original's place.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { askInPod } from './ask-in-pod.ts'
import { asking, caller, local, original } from './exchange-programs.ts'
import { until } from './until.ts'

const NODE_IMAGE = 'docker.io/library/node:24-alpine'

/** A line of the caller: see `caller` in exchange-programs.ts. */
export interface Heard {
  at: number
  lane: 'new' | 'kept'
  /** `here`, `original`, or `failed CODE`. */
  what: string
}

export interface Question {
  op: 'get' | 'put' | 'echo' | 'many' | 'udp'
  host: string
  port: number
  path?: string
  bytes?: number
  count?: number
}

type Answer = Record<string, unknown> & { error?: string; text?: string; ms: number }

export class ExchangeBench {
  readonly namespace: string
  readonly #program: string
  readonly #laptop: string
  readonly #children: ChildProcess[] = []
  readonly heard: Heard[] = []

  constructor(program: string, namespace: string, laptop: string) {
    this.#program = program
    this.namespace = namespace
    this.#laptop = laptop
  }

  kubectl(args: string[], input?: string): string {
    const words = ['kubectl', '-n', this.namespace, ...args]
    return execFileSync(this.#program, words, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] }).trim()
  }

  apply(...items: object[]): void {
    this.kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }))
  }

  /** Namespace, Deployment and Service `web` (80 by name, 81, 7 TCP, 7 UDP), and the caller. */
  start(): void {
    // One that a run before has left may still be ending.
    const gone = ['delete', 'namespace', this.namespace, '--ignore-not-found', '--timeout=90s']
    execFileSync(this.#program, ['kubectl', ...gone], { stdio: 'ignore' })
    this.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: this.namespace } })
    this.apply(
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'web', namespace: this.namespace },
        spec: {
          replicas: 2,
          selector: { matchLabels: { app: 'web' } },
          template: { metadata: { labels: { app: 'web' } }, spec: this.#pod('web', original, [8080, 7]) },
        },
      },
      this.service('web', { app: 'web' }, [
        { name: 'http', port: 80, targetPort: 'http' },
        { name: 'admin', port: 81, targetPort: 8081 },
        { name: 'echo', port: 7, targetPort: 7 },
        { name: 'echo-udp', port: 7, targetPort: 7, protocol: 'UDP' },
      ]),
    )
    this.kubectl(['rollout', 'status', 'deployment/web', '--timeout=90s'])
    const pod = this.#pod('caller', caller(`web.${this.namespace}`), [])
    this.apply({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'caller', namespace: this.namespace }, spec: pod })
    this.kubectl(['wait', 'pod/caller', '--for=condition=Ready', '--timeout=60s'])
    const logs = spawn(this.#program, ['kubectl', '-n', this.namespace, 'logs', '-f', 'caller'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    this.#children.push(logs)
    let rest = ''
    logs.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      for (const line of lines) {
        const [at, lane, ...what] = line.split(' ')
        this.heard.push({ at: Number(at), lane: lane as Heard['lane'], what: what.join(' ') })
      }
    })
  }

  service(name: string, selector: Record<string, string> | undefined, ports: object[], more: object = {}): object {
    const spec = { ...(selector && { selector }), ports, ...more }
    return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: this.namespace }, spec }
  }

  stop(): void {
    for (const child of this.#children) {
      child.kill()
      // What it started in turn may hold its output a while longer, which nobody waits for.
      child.stdout?.destroy()
      child.unref()
    }
    execFileSync(
      this.#program,
      ['kubectl', 'delete', 'namespace', this.namespace, '--ignore-not-found', '--wait=false'],
      { stdio: 'ignore' },
    )
  }

  /** The program that takes the original's place, as `dev` on the laptop. Resolves when it listens; to how it is ended. */
  async startLocal(http: number, echo: number): Promise<() => void> {
    const quoted = `'${local(http, echo).replaceAll("'", `'\\''`)}'`
    const child = spawn(
      this.#program,
      ['laptop', '--as', this.#laptop, 'su', '-', 'dev', '-c', `exec ${process.execPath} -e ${quoted}`],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    )
    this.#children.push(child)
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    const [, pid] = await until('the local program listens', () => /listening (\d+)/.exec(said) ?? undefined, 20_000)
    return () => void process.kill(Number(pid), 'SIGTERM')
  }

  /** Asks from the caller's pod. */
  async ask(question: Question): Promise<Answer> {
    return (await askInPod(this.#program, this.namespace, 'caller', asking, question, 120_000)) as Answer
  }

  /** The Service as it must be again: its spec and its annotations. */
  snapshot(name = 'web'): object {
    const { spec, metadata } = JSON.parse(this.kubectl(['get', 'service', name, '-o', 'json']))
    const { 'kubectl.kubernetes.io/last-applied-configuration': _applied, ...annotations } = metadata.annotations ?? {}
    return { spec, annotations, labels: metadata.labels ?? {} }
  }

  /** What of kt is there: `job.batch/kt-…`, leases and Services among them. */
  remains(): string[] {
    const all = this.kubectl(['get', 'jobs,secrets,services,leases,configmaps', '-o', 'name']).split('\n')
    return all.filter((name) => /\/kt-|kt-original/.test(name))
  }

  /** When the caller was first answered by `who` after `since`, on connections of their own. */
  firstAnswer(who: string, since: number): Heard | undefined {
    return this.heard.find(({ at, lane, what }) => at > since && lane === 'new' && what === who)
  }

  failures(since: number): Heard[] {
    return this.heard.filter(({ at, what }) => at > since && what.startsWith('failed'))
  }

  #pod(name: string, script: string, tcp: number[]): object {
    return {
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name,
          image: NODE_IMAGE,
          command: ['node', '-e', script],
          ports: tcp.map((containerPort) => ({ containerPort, ...(containerPort === 8080 && { name: 'http' }) })),
          ...(tcp.length > 0 && { readinessProbe: { tcpSocket: { port: tcp[0] }, periodSeconds: 1 } }),
        },
      ],
    }
  }
}
