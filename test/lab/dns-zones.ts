// What the lab's resolvers know: the cluster's names as the Kubernetes DNS specification has them (with CoreDNS' way of
// telling NXDOMAIN from an empty answer), and the world's few. Pure: a question in, records out.
import { IpAddress } from '../../src/wire/address.ts'
import {
  type RecordType,
  type ResourceRecord,
  rcodes,
  soaData,
  srvData,
  txtData,
  types,
  writeName,
} from './dns-message.ts'
import { clusterDomain, type LabPod, type LabService, namespaces, services, world } from './topology.ts'

export interface Found {
  rcode: number
  answers: ResourceRecord[]
  authority?: ResourceRecord[]
  additional?: ResourceRecord[]
}

/** A zone answers the names it knows; undefined: not mine. */
export type Zone = (name: string, type: number) => Found | undefined

const ttl = 30
const address = (name: string, text: string): ResourceRecord => {
  const value = IpAddress.parse(text)
  return { name, type: value.family === 4 ? 'A' : 'AAAA', ttl, data: Buffer.from(value.bytes) }
}

/** All records the cluster serves, by name; a name with no records of the asked type is an empty answer. */
export function clusterRecords(): Map<string, ResourceRecord[]> {
  const records = new Map<string, ResourceRecord[]>()
  const add = (record: ResourceRecord) => {
    records.set(record.name, [...(records.get(record.name) ?? []), record])
    // Every name above it exists, too, with nothing in it (RFC 8020).
    for (let name = record.name; name.endsWith(`.${clusterDomain}`); name = name.slice(name.indexOf('.') + 1))
      if (!records.has(name)) records.set(name, [])
  }
  const plain = (name: string, type: RecordType, data: Buffer) => add({ name, type, ttl, data })
  for (const namespace of namespaces) records.set(`${namespace}.svc.${clusterDomain}`, [])
  plain(`dns-version.${clusterDomain}`, 'TXT', txtData('1.1.0'))
  for (const service of services) {
    const name = `${service.name}.${service.namespace}.svc.${clusterDomain}`
    records.set(name, records.get(name) ?? [])
    for (const [target, addresses] of targets(service, name)) {
      for (const text of addresses) {
        add(address(name, text))
        if (target !== name) add(address(target, text))
        add({ name: reverseName(text), type: 'PTR', ttl, data: writeName(target) })
      }
      for (const port of service.ports)
        plain(`_${port.name}._${port.protocol.toLowerCase()}.${name}`, 'SRV', srvData(port.port, target))
    }
  }
  return records
}

/** The names behind a service: itself, or each pod of a headless one. */
function targets(service: LabService, name: string): [string, readonly string[]][] {
  if (service.addresses.length > 0) return [[name, service.addresses]]
  const label = (pod: LabPod) => (service.podNames ? pod.name : pod.addresses[0].replaceAll('.', '-'))
  return service.pods.map((pod) => [`${label(pod)}.${name}`, pod.addresses])
}

/** cluster.local and the reverse names of the cluster's ranges, as CoreDNS' `kubernetes` plugin answers. */
export function clusterZone(): Zone {
  const records = clusterRecords()
  const soa: ResourceRecord = { name: clusterDomain, type: 'SOA', ttl, data: soaData(clusterDomain, ttl) }
  return (name, type) => {
    const inside = name === clusterDomain || name.endsWith(`.${clusterDomain}`)
    const known = records.get(name) ?? podByAddress(name)
    if (!known) return inside ? { rcode: rcodes.NXDOMAIN, answers: [], authority: [soa] } : undefined
    const answers = known.filter((record) => types[record.type] === type)
    if (answers.length === 0) return { rcode: rcodes.NOERROR, answers: [], authority: [soa] }
    return { rcode: rcodes.NOERROR, answers }
  }
}

/** `10-111-0-10.shop.pod.cluster.local`: as `pods insecure` has it, any address will do. */
function podByAddress(name: string): ResourceRecord[] | undefined {
  const match = /^([0-9a-f-]+)\.([a-z0-9-]+)\.pod\.cluster\.local$/.exec(name)
  if (!match || !namespaces.includes(match[2])) return undefined
  const text = /^\d+-\d+-\d+-\d+$/.test(match[1]) ? match[1].replaceAll('-', '.') : match[1].replaceAll('-', ':')
  return IpAddress.tryParse(text) && [address(name, text)]
}

/** Public and office names; everything else does not exist. */
export function worldZone(): Zone {
  return (name, type) => {
    const soa: ResourceRecord = { name: '', type: 'SOA', ttl: 60, data: soaData('example', 60) }
    const known: ResourceRecord[] | undefined = (world.names as readonly string[]).includes(name)
      ? world.page.map((text) => address(name, text))
      : world.page.map(reverseName).includes(name)
        ? [{ name, type: 'PTR', ttl, data: writeName('www.example.com') }]
        : undefined
    if (!known) return { rcode: rcodes.NXDOMAIN, answers: [], authority: [soa] }
    const answers = known.filter((record) => types[record.type] === type)
    return { rcode: rcodes.NOERROR, answers, authority: answers.length === 0 ? [soa] : [] }
  }
}

/** RFC 1035 3.5 and RFC 3596 2.5. */
export function reverseName(text: string): string {
  const { family, bytes } = IpAddress.parse(text)
  if (family === 4) return `${[...bytes].reverse().join('.')}.in-addr.arpa`
  return `${[...Buffer.from(bytes).toString('hex')].reverse().join('.')}.ip6.arpa`
}
