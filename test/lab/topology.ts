// What there is in the lab and under which addresses: the one place that says so, for the servers, the resolvers, the
// API-server double and the tests. Documentation and private ranges only; nothing of it leaves the namespaces.

/** The laptop's own network, and the cluster's nodes behind the gateway. */
export const lan = {
  laptop: ['172.30.99.100', 'fd00:99::100'],
  /** The gateway's side towards the laptop. */
  gateway: ['172.30.99.1', 'fd00:99::1'],
  /** The gateway's side towards the cluster. */
  uplink: ['172.30.98.1', 'fd00:98::1'],
  /** The one node; the API server listens here. */
  node: ['172.30.98.2', 'fd00:98::2'],
} as const

export const apiPort = 6443
/** The same API server through the gateway's slow proxy. */
export const slowApiPort = 6444

/** Outside: the laptop's resolver and a public page. */
export const world = {
  resolver: ['198.51.100.53', '2001:db8:53::53'],
  page: ['203.0.113.80', '2001:db8:80::80'],
  names: ['www.example.com', 'example.com', 'intranet.office.test'],
} as const

export const clusterDomain = 'cluster.local'
export const ranges = {
  pods: ['10.111.0.0/16', 'fd00:111::/56'],
  services: ['10.112.0.0/16', 'fd00:112::/112'],
} as const
export const nodeName = 'lab-node'
export const namespaces = ['default', 'kube-system', 'shop', 'strict']

/** A pod: IPv4 and IPv6 address. */
export interface LabPod {
  name: string
  namespace: string
  app: string
  addresses: readonly [string, string]
}

const pod = (name: string, app: string, host: number): LabPod => ({
  name,
  namespace: 'shop',
  app,
  addresses: [`10.111.0.${host}`, `fd00:111::${host.toString(16)}`],
})

export const webPods = [pod('web-6d4b-xk2lp', 'web', 10), pod('web-6d4b-zq8vn', 'web', 11)]
export const dbPods = [pod('db-0', 'db', 20), pod('db-1', 'db', 21)]
/** A crowd whose addresses do not fit into 512 bytes of DNS; nobody listens on them. */
export const crowd = Array.from({ length: 60 }, (_, i) => pod(`crowd-${i}`, 'crowd', 100 + i))

export interface LabPort {
  name: string
  port: number
  targetPort: number
  protocol: 'TCP' | 'UDP'
}

export interface LabService {
  name: string
  namespace: string
  /** No addresses: headless. */
  addresses: readonly string[]
  ports: LabPort[]
  pods: LabPod[]
  /** Whether pods have names of their own below the service's (StatefulSet). */
  podNames: boolean
}

const tcp = (name: string, port: number, targetPort = port): LabPort => ({ name, port, targetPort, protocol: 'TCP' })

export const dnsAddresses = ['10.112.0.10', 'fd00:112::a'] as const
export const webAddresses = ['10.112.0.20', 'fd00:112::14'] as const

export const services: LabService[] = [
  {
    name: 'kubernetes',
    namespace: 'default',
    addresses: ['10.112.0.1'],
    ports: [tcp('https', 443, apiPort)],
    pods: [],
    podNames: false,
  },
  {
    name: 'kube-dns',
    namespace: 'kube-system',
    addresses: dnsAddresses,
    ports: [{ name: 'dns', port: 53, targetPort: 53, protocol: 'UDP' }, tcp('dns-tcp', 53)],
    pods: [],
    podNames: false,
  },
  {
    name: 'web',
    namespace: 'shop',
    addresses: webAddresses,
    ports: [
      tcp('http', 80, 8080),
      tcp('echo', 7),
      tcp('discard', 9),
      tcp('chargen', 19),
      { name: 'udp', port: 7, targetPort: 7, protocol: 'UDP' },
    ],
    pods: webPods,
    podNames: false,
  },
  { name: 'db', namespace: 'shop', addresses: [], ports: [tcp('http', 8080)], pods: dbPods, podNames: true },
  { name: 'crowd', namespace: 'shop', addresses: [], ports: [tcp('http', 8080)], pods: crowd, podNames: true },
]

/** A pod address nobody has: the node says so (EHOSTUNREACH). */
export const nobody = ['10.111.9.9', 'fd00:111::9:9'] as const
/** Pod addresses behind which every packet is lost without a word. */
export const silent = ['10.111.99.9', 'fd00:111:0:99::9'] as const
export const silentRanges = ['10.111.99.0/24', 'fd00:111:0:99::/64'] as const
