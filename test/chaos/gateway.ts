// A gateway before the real API server, to be run on a laptop: it listens on the loopback, shows the server who it is with
// the kubeconfig's certificate, and writes a kubeconfig that leads through it. Its habits change with each line of JSON on
// the standard input; to each it answers with what it has counted.
//   node gateway.ts KUBECONFIG OUT '{"lifetimeMs":60000}'
import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { load } from 'js-yaml'
import { createAuthority } from '../lab/certificate.ts'
import { type Habits, startFrontDoor } from '../support/front-door.ts'

interface GatewayConfig {
  clusters: { name: string; cluster: { server: string; 'certificate-authority-data': string } }[]
  users: { name: string; user: { 'client-certificate-data': string; 'client-key-data': string } }[]
}

const DAY = 86_400_000
const [from, out, habits = '{}'] = process.argv.slice(2)
const config = load(readFileSync(from, 'utf8')) as GatewayConfig
const { cluster } = config.clusters[0]
const { user } = config.users[0]
const decoded = (data: string) => Buffer.from(data, 'base64').toString()
const server = new URL(cluster.server)
const times = { notBefore: new Date(Date.now() - DAY), notAfter: new Date(Date.now() + DAY) }
const authority = createAuthority('gateway CA', times.notBefore, times.notAfter)
const door = await startFrontDoor(
  {
    tls: authority.issue({ commonName: 'gateway', addresses: ['127.0.0.1'], ...times }),
    to: {
      host: server.hostname,
      port: Number(server.port),
      tls: {
        ca: decoded(cluster['certificate-authority-data']),
        cert: decoded(user['client-certificate-data']),
        key: decoded(user['client-key-data']),
      },
    },
  },
  JSON.parse(habits) as Habits,
)
const through = {
  ...config,
  clusters: [
    {
      name: config.clusters[0].name,
      cluster: {
        server: `https://127.0.0.1:${door.port}${door.habits.prefix ?? ''}`,
        'certificate-authority-data': Buffer.from(authority.cert).toString('base64'),
      },
    },
  ],
  users: [{ name: config.users[0].name, user: {} }],
}
// JSON is YAML.
writeFileSync(out, JSON.stringify(through), { mode: 0o644 })
const tell = () => console.log(JSON.stringify({ upgrades: door.upgrades, ended: door.ended }))
tell()
createInterface(process.stdin)
  .on('line', (line) => {
    door.habits = JSON.parse(line) as Habits
    tell()
  })
  .on('close', () => process.exit(0))
