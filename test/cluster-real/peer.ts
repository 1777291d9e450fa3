// A pod of the tests' own in the real cluster, in a namespace of its own: it sends and takes large bodies with their
// checksums, and resets connections in the middle, which an ordinary server does not do on command.
import { execFileSync } from 'node:child_process'

export const NAMESPACE = 'kt-e2e'

const server = `
const http = require('node:http'), net = require('node:net'), crypto = require('node:crypto')
const block = crypto.randomBytes(1 << 20)
http.createServer((q, s) => {
  if (q.method === 'PUT') {
    const sum = crypto.createHash('sha256')
    q.on('data', (d) => sum.update(d)).on('end', () => s.end(sum.digest('hex')))
    return
  }
  let left = Number(q.url.slice(1)) || 0
  const sum = crypto.createHash('sha256')
  s.setHeader('trailer', 'x-sha256')
  const more = () => {
    while (left > 0) {
      const piece = block.subarray(0, Math.min(left, block.length))
      left -= piece.length
      sum.update(piece)
      if (!s.write(piece)) return s.once('drain', more)
    }
    s.addTrailers({ 'x-sha256': sum.digest('hex') })
    s.end()
  }
  more()
}).listen(8080, '::')
net.createServer((s) => { s.on('error', () => {}); s.write(block, () => setTimeout(() => s.resetAndDestroy(), 50)) }).listen(8081, '::')
net.createServer({ allowHalfOpen: true }, (s) => { s.on('error', () => {}); s.pipe(s) }).listen(7, '::')
`

/** Makes namespace, pod \`peer\` and Service \`peer\`; waits until it is ready. */
export function startPeer(program: string): void {
  const kubectl = (args: string[], input?: string) =>
    execFileSync(program, ['kubectl', ...args], { input, stdio: ['pipe', 'pipe', 'pipe'], encoding: 'utf8' })
  const items = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'peer', namespace: NAMESPACE },
      data: { 'peer.js': server },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'peer', namespace: NAMESPACE, labels: { app: 'peer' } },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: 'peer',
            image: 'docker.io/library/node:24-alpine',
            command: ['node', '/app/peer.js'],
            volumeMounts: [{ name: 'app', mountPath: '/app' }],
            readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
          },
        ],
        volumes: [{ name: 'app', configMap: { name: 'peer' } }],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'peer', namespace: NAMESPACE },
      spec: {
        ipFamilyPolicy: 'PreferDualStack',
        selector: { app: 'peer' },
        ports: [
          { name: 'http', port: 80, targetPort: 8080 },
          { name: 'reset', port: 81, targetPort: 8081 },
          { name: 'echo', port: 7, targetPort: 7 },
        ],
      },
    },
  ]
  // That of the test before may still be ending.
  const phase = ['get', 'namespace', NAMESPACE, '--ignore-not-found', '-o', 'jsonpath={.status.phase}']
  if (kubectl(phase) === 'Terminating') kubectl(['wait', `namespace/${NAMESPACE}`, '--for=delete', '--timeout=60s'])
  kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }))
  kubectl(['-n', NAMESPACE, 'wait', 'pod/peer', '--for=condition=Ready', '--timeout=60s'])
}

export function stopPeer(program: string): void {
  execFileSync(program, ['kubectl', 'delete', 'namespace', NAMESPACE, '--ignore-not-found', '--wait=false'], {
    stdio: 'ignore',
  })
}
