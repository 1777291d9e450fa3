// What `kt mesh` says once it holds: how a request is made that comes here, and for `--mode manual` the rules for Istio.
import type { InboundHandle } from '../../cluster/inbound-calls.ts'

type Meshed = Pick<InboundHandle, 'service' | 'namespace' | 'ports'> & { mesh: NonNullable<InboundHandle['mesh']> }

/** Of `--mode manual`; as `autoWords`. */
export function manualWords(handle: Meshed, ports: string): string {
  const { mesh, service, namespace } = handle
  return [
    `${service}.${namespace} has a pod with the label ${mesh.header}=${mesh.value}, whose requests come here: ${ports}.`,
    ...(mesh.others.length > 0
      ? []
      : [`The pods of ${service} have no label "version": give them one and put it below instead of ORIGINAL.`]),
    'Until there are rules, it gets its share of all requests. For Istio:',
    '',
    istioRules(handle),
  ].join('\n')
}

/** Several lines; the first is a sentence. `ports` are those of `kt exchange`'s line: `80 -> localhost:8080`. */
export function autoWords({ mesh, service, namespace, ports }: Meshed, words: string): string {
  const http = ports.find((one) => one.exposed && speaksHttp(one))
  const value = mesh.prefix ? `${mesh.value}…` : mesh.value
  const example = mesh.prefix ? `${mesh.value}1` : mesh.value
  return [
    `requests to ${service}.${namespace} with the header "${mesh.header}: ${value}" come here: ${words}.`,
    ...(http
      ? [curl(mesh.header, example, `http://${service}.${namespace}${http.port === 80 ? '' : `:${http.port}`}/`)]
      : []),
  ].join('\n')
}

/** Alone on its line, so that it can be copied. */
function curl(header: string, value: string, url: string): string {
  return `  curl -H '${`${header}: ${value}`.replaceAll("'", `'\\''`)}' ${url}`
}

// Istio's and others' convention for names of ports: the protocol, then anything.
const OTHER_PROTOCOL =
  /^(grpc|https|tls|tcp|udp|sctp|mongo|mysql|postgres|redis|amqp|kafka|nats|mqtt|ssh|dns|ftp|smtp|ldap)/
// Registered for something else (IANA), where neither a name nor appProtocol says more. Below 1024 only 80 is HTTP.
const OTHER_PORTS = new Set([1433, 1521, 3306, 5432, 5671, 5672, 6379, 8443, 9042, 9092, 11_211, 27_017])

/** Whether curl without more can ask there: what the Service says of the port, else what its number usually is. */
function speaksHttp({ name, port, appProtocol }: Meshed['ports'][number]): boolean {
  if (appProtocol) return /^(http|kubernetes\.io\/(h2c|ws))$/i.test(appProtocol)
  if (name && /^(http(?!s)|web)/.test(name)) return true
  if (name && OTHER_PROTOCOL.test(name)) return false
  return port === 80 || (port >= 1024 && !OTHER_PORTS.has(port))
}

/** VirtualService and DestinationRule: the header `kt-version` with the label's value leads here, all else to the others. */
export function istioRules({ mesh, service, namespace }: Meshed): string {
  const host = `${service}.${namespace}.svc.cluster.local`
  const originals = mesh.others.length > 0 ? mesh.others : ['ORIGINAL']
  const subset = (value: string) => value.toLowerCase().replace(/[^a-z0-9-]+/g, '-')
  const share = (index: number) => Math.floor(100 / originals.length) + (index < 100 % originals.length ? 1 : 0)
  const lines = [
    'apiVersion: networking.istio.io/v1',
    'kind: DestinationRule',
    'metadata:',
    `  name: ${service}`,
    `  namespace: ${namespace}`,
    'spec:',
    `  host: ${host}`,
    '  subsets:',
    ...originals.flatMap((value) => [
      `    - name: ${subset(value)}`,
      '      labels:',
      `        version: ${quoted(value)}`,
    ]),
    `    - name: ${subset(mesh.value)}`,
    '      labels:',
    `        ${mesh.header}: ${quoted(mesh.value)}`,
    '      # The shadow has no sidecar.',
    '      trafficPolicy:',
    '        tls:',
    '          mode: DISABLE',
    '---',
    'apiVersion: networking.istio.io/v1',
    'kind: VirtualService',
    'metadata:',
    `  name: ${service}`,
    `  namespace: ${namespace}`,
    'spec:',
    '  hosts:',
    `    - ${service}`,
    `    - ${host}`,
    '  http:',
    '    - match:',
    '        - headers:',
    '            kt-version:',
    `              exact: ${quoted(mesh.value)}`,
    '      route:',
    '        - destination:',
    `            host: ${host}`,
    `            subset: ${subset(mesh.value)}`,
    '    - route:',
    ...originals.flatMap((value, index) => [
      '        - destination:',
      `            host: ${host}`,
      `            subset: ${subset(value)}`,
      ...(originals.length > 1 ? [`          weight: ${share(index)}`] : []),
    ]),
  ]
  return `${lines.join('\n')}\n`
}

/** Values like `1.10` and `true` are text. */
function quoted(value: string): string {
  return /^[A-Za-z][A-Za-z0-9-]*$/.test(value) && !/^(true|false|yes|no|on|off|null|y|n)$/i.test(value)
    ? value
    : JSON.stringify(value)
}
