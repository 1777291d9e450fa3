// What the tests of `kt mesh` need in a real cluster: a namespace with a Service, a pod to ask it from, and a program on each laptop.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { askInPod } from './ask-in-pod.ts'
import { meshAsking, meshLocal, meshOriginal } from './mesh-programs.ts'
import { until } from './until.ts'

const NODE_IMAGE = 'docker.io/library/node:24-alpine'

export interface MeshQuestion {
  op: 'keptAlive' | 'webSocket' | 'http2' | 'banner'
  versions: (string | null)[]
  /** Default `KT-Version`. */
  header?: string
  port?: number
  /** Of each request's body. */
  bytes?: number
}

export class MeshBench {
  readonly namespace: string
  readonly #program: string
  readonly #children: ChildProcess[] = []
  readonly #local: number[] = []

  constructor(program: string, namespace: string) {
    this.#program = program
    this.namespace = namespace
  }

  kubectl(args: string[], input?: string): string {
    const words = ['kubectl', '-n', this.namespace, ...args]
    return execFileSync(this.#program, words, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] }).trim()
  }

  /** Deployment and Service `web` (80, and 25 whose server speaks first), and a pod to ask from. */
  start(): void {
    const { namespace } = this
    const pod = (script: string, more: object) => ({
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'main', image: NODE_IMAGE, command: ['node', '-e', script], ...more }],
    })
    const items = [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'web', namespace },
        spec: {
          replicas: 2,
          selector: { matchLabels: { app: 'web' } },
          template: {
            metadata: { labels: { app: 'web', version: 'v1' } },
            spec: pod(meshOriginal, {
              ports: [{ name: 'http', containerPort: 8080 }],
              readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
            }),
          },
        },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web', namespace },
        spec: {
          selector: { app: 'web' },
          ports: [
            { name: 'http', port: 80, targetPort: 'http' },
            { name: 'mail', port: 25, targetPort: 8025 },
          ],
        },
      },
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'caller', namespace },
        spec: pod('setInterval(() => {}, 1e6); process.on("SIGTERM", () => process.exit(0))', {}),
      },
    ]
    this.kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }))
    this.kubectl(['rollout', 'status', 'deployment/web', '--timeout=90s'])
    this.kubectl(['wait', 'pod/caller', '--for=condition=Ready', '--timeout=60s'])
  }

  stop(): void {
    for (const pid of this.#local) process.kill(pid, 'SIGTERM')
    for (const child of this.#children) child.kill()
    const words = ['kubectl', 'delete', 'namespace', this.namespace, '--ignore-not-found', '--wait=false']
    execFileSync(this.#program, words, { stdio: 'ignore' })
  }

  /** The program that takes the original's place on a laptop, and says `name`. Resolves when it listens. */
  async startLocal(laptop: string, name: string, port: number): Promise<void> {
    const script = `'${meshLocal(name, port).replaceAll("'", `'\\''`)}'`
    const words = ['laptop', '--as', laptop, 'su', '-', 'dev', '-c', `exec ${process.execPath} -e ${script}`]
    const child = spawn(this.#program, words, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#children.push(child)
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    const [, pid] = await until('the local program listens', () => /listening (\d+)/.exec(said) ?? undefined, 20_000)
    this.#local.push(Number(pid))
  }

  /** Asks `web` from the caller's pod. */
  async ask(question: MeshQuestion): Promise<unknown> {
    const whole = { host: `web.${this.namespace}`, port: 80, header: 'KT-Version', ...question }
    return askInPod(this.#program, this.namespace, 'caller', meshAsking, whole, 60_000)
  }

  /** What must be again as it was. */
  snapshot(): object {
    const { spec, metadata } = JSON.parse(this.kubectl(['get', 'service', 'web', '-o', 'json']))
    return { spec, annotations: metadata.annotations ?? {}, labels: metadata.labels ?? {} }
  }

  /** What of kt is there. */
  remains(): string[] {
    const all = this.kubectl(['get', 'jobs,secrets,services,leases,pods', '-o', 'name']).split('\n')
    return all.filter((name) => /\/kt-|kt-original/.test(name))
  }
}
