// Runs on the lab's laptop: makes a Job as kt does, with a small echo server in place of the agent, and speaks to it
// through a port-forward. Prints what it saw as JSON; the test judges. With raw requests, so that it proves the double
// and not kt's own client.
//   node api-walk.ts KUBECONFIG
import { readFileSync } from 'node:fs'
import https from 'node:https'
import { WebSocket } from 'ws'

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const server: string = config.clusters[0].cluster.server
const ca = Buffer.from(config.clusters[0].cluster['certificate-authority-data'], 'base64')
const headers = { authorization: `Bearer ${config.users[0].user.token}` }
const jobs = '/apis/batch/v1/namespaces/shop/jobs'
const core = '/api/v1/namespaces/shop'

// biome-ignore lint/suspicious/noExplicitAny: any object of the API
type Json = any

function call(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<[number, Json]> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? '' : JSON.stringify(body)
    const length = { 'content-type': contentType, 'content-length': Buffer.byteLength(text) }
    const options = { method, ca, headers: { ...headers, ...length } }
    const request = https.request(server + path, options, async (response) => {
      let answer = ''
      for await (const chunk of response) answer += chunk
      resolve([response.statusCode!, answer.startsWith('{') ? JSON.parse(answer) : answer])
    })
    request.on('error', reject)
    request.end(text)
  })
}

/** Resolves with the first event of the watch that `wanted` likes. */
function watch(path: string, wanted: (type: string, object: Json) => boolean): Promise<Json> {
  return new Promise((resolve, reject) => {
    const request = https.get(server + path, { ca, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk
        const lines = text.split('\n')
        text = lines.pop()!
        for (const { type, object } of lines.map((line) => JSON.parse(line)))
          if (wanted(type, object)) {
            resolve(object)
            response.destroy()
          }
      })
    })
    request.on('error', reject)
  })
}

/** Sends `text` through a port-forward to the pod; resolves to what came back, and the port numbers each channel began with. */
function forward(pod: string, text: string): Promise<{ echo: string; ports: number[]; closed: number }> {
  const url = `${server.replace('https', 'wss')}${core}/pods/${pod}/portforward?ports=2222`
  const ws = new WebSocket(url, 'v4.channel.k8s.io', { ca, headers })
  const first = new Map<number, number>()
  let echo = ''
  ws.on('open', () => ws.send(Buffer.concat([Buffer.from([0]), Buffer.from(text)])))
  ws.on('message', (data: Buffer) => {
    if (!first.has(data[0])) return first.set(data[0], data.readUInt16LE(1))
    if (data[0] === 1)
      ws.close() // an error: it does not listen yet
    else echo += data.subarray(1)
    if (echo.length >= text.length) ws.close()
  })
  return new Promise((resolve, reject) => {
    ws.on('error', reject)
    ws.on('close', (closed) => resolve({ echo, ports: [...first.values()], closed }))
  })
}

const agent = `
  const { readFileSync, existsSync } = require('fs')
  console.log(JSON.stringify({ uid: process.getuid(), resolv: readFileSync('/etc/resolv.conf', 'utf8'),
    secret: readFileSync('/kt/word', 'utf8'), home: existsSync('/home') }))
  require('net').createServer((s) => s.pipe(s)).listen(process.env.KT_AGENT_PORT, '127.0.0.1')`

const job = {
  metadata: { name: 'walk', labels: { walk: 'yes' } },
  spec: {
    suspend: true,
    template: {
      metadata: { labels: { walk: 'yes' } },
      spec: {
        securityContext: { runAsUser: 65532 },
        containers: [
          {
            name: 'walk',
            image: 'node:24-alpine',
            command: ['node', '/kt/agent.cjs'],
            env: [{ name: 'KT_AGENT_PORT', value: '2222' }],
            volumeMounts: [{ name: 'files', mountPath: '/kt' }],
          },
        ],
        volumes: [{ name: 'files', secret: { secretName: 'walk' } }],
      },
    },
  },
}

const [made, { metadata }] = await call('POST', jobs, job)
const again = (await call('POST', jobs, job))[0]
const data = { 'agent.cjs': Buffer.from(agent).toString('base64'), word: Buffer.from('sesame').toString('base64') }
const ownerReferences = [{ apiVersion: 'batch/v1', kind: 'Job', name: 'walk', uid: metadata.uid }]
const secret = (await call('POST', `${core}/secrets`, { metadata: { name: 'walk', ownerReferences }, data }))[0]
const none = (await call('GET', `${core}/pods?labelSelector=walk%3Dyes`))[1].items.length
const patched = await call('PATCH', `${jobs}/walk`, { spec: { suspend: false } }, 'application/merge-patch+json')
const pod = await watch(
  `${core}/pods?watch=true&labelSelector=job-name%3Dwalk`,
  (_, object) => object.status.phase === 'Running',
)
let echo: unknown
for (let tries = 0; tries < 100 && !echo; tries++) {
  const answer = await forward(pod.metadata.name, 'hello shadow').catch((error) => error)
  if (answer.echo) echo = answer
  else await new Promise((resolve) => setTimeout(resolve, 20)) // Running is said before it listens, as in a real cluster
}
const log = (await call('GET', `${core}/pods/${pod.metadata.name}/log`))[1]
const gone = watch(
  `${core}/pods?watch=true&resourceVersion=${pod.metadata.resourceVersion}`,
  (type) => type === 'DELETED',
)
const deleted = (await call('DELETE', `${jobs}/walk`, { propagationPolicy: 'Background' }))[0]
await gone
const left = await Promise.all(['secrets', 'pods'].map(async (kind) => (await call('GET', `${core}/${kind}`))[1].items))
const range = await call('POST', `/api/v1/namespaces/shop/services?dryRun=All`, {
  metadata: { name: 'x' },
  spec: { clusterIP: '0.0.0.0', ports: [{ port: 1 }] },
})
process.stdout.write(
  JSON.stringify({
    codes: { made, again, secret, patched: patched[0], deleted, range: range[0] },
    none,
    log,
    echo,
    owned: pod.metadata.ownerReferences[0].uid === metadata.uid,
    leftSecrets: left[0].length,
    leftPods: left[1].filter((object: Json) => object.metadata.labels?.walk).length,
    range: range[1].message,
  }),
  () => process.exit(0),
)
