// Just enough of DNS for the lab's two resolvers: reads a question with its EDNS size, writes an answer. By hand, so
// that the lab does not share a library (and its mistakes) with what it tests.

export const types = { A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, TXT: 16, AAAA: 28, SRV: 33, OPT: 41 } as const
export const rcodes = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 } as const
export type RecordType = 'A' | 'AAAA' | 'CNAME' | 'PTR' | 'TXT' | 'SRV' | 'SOA'

export interface Question {
  id: number
  recursionDesired: boolean
  /** Lower case, no final dot. */
  name: string
  type: number
  /** Largest UDP answer the asker takes: 512 without EDNS (RFC 1035 4.2.1). */
  udpSize: number
  edns: boolean
  /** The question section as it came. */
  section: Buffer
}

/** `data`: address bytes, a name, text, or the fields of SRV and SOA. */
export interface ResourceRecord {
  name: string
  type: RecordType
  ttl: number
  data: Buffer
}

/** Undefined when the message is not one question. */
export function readQuestion(message: Buffer): Question | undefined {
  if (message.length < 17 || message[2] & 0x80 || message.readUInt16BE(4) !== 1) return undefined
  const labels: string[] = []
  let at = 12
  while (message[at]) {
    if (message[at] > 63 || at + message[at] >= message.length) return undefined
    labels.push(message.toString('latin1', at + 1, at + 1 + message[at]))
    at += message[at] + 1
  }
  const end = at + 5
  if (end > message.length) return undefined
  // The one additional record that matters: OPT, whose owner is the root (RFC 6891 6.1.2).
  const edns = message.readUInt16BE(10) > 0 && message.length >= end + 11 && message.readUInt16BE(end + 1) === types.OPT
  return {
    id: message.readUInt16BE(0),
    recursionDesired: (message[2] & 1) === 1,
    name: labels.join('.').toLowerCase(),
    type: message.readUInt16BE(at + 1),
    udpSize: edns ? Math.max(512, message.readUInt16BE(end + 3)) : 512,
    edns,
    section: message.subarray(12, end),
  }
}

export interface AnswerOptions {
  rcode: number
  answers: ResourceRecord[]
  authority?: ResourceRecord[]
  additional?: ResourceRecord[]
  authoritative: boolean
}

/** The answer message; with the TC bit and no records when it is longer than `limit`. */
export function writeAnswer(question: Question, options: AnswerOptions, limit: number): Buffer {
  const { answers, authority = [], additional = [] } = options
  const full = assemble(question, options, [answers, authority, additional], false)
  return full.length <= limit ? full : assemble(question, options, [[], [], []], true)
}

function assemble(question: Question, options: AnswerOptions, sections: ResourceRecord[][], cut: boolean): Buffer {
  const header = Buffer.alloc(12)
  header.writeUInt16BE(question.id, 0)
  header[2] = 0x80 | (options.authoritative ? 4 : 0) | (cut ? 2 : 0) | (question.recursionDesired ? 1 : 0)
  header[3] = 0x80 | options.rcode
  header.writeUInt16BE(1, 4)
  for (const [i, section] of sections.entries()) header.writeUInt16BE(section.length, 6 + 2 * i)
  header.writeUInt16BE(sections[2].length + (question.edns ? 1 : 0), 10)
  const parts = [header, question.section, ...sections.flat().map((record) => writeRecord(record, question.name))]
  if (question.edns) parts.push(Buffer.from([0, 0, types.OPT, 0x10, 0, 0, 0, 0, 0, 0, 0])) // 4096 bytes
  return Buffer.concat(parts)
}

function writeRecord(record: ResourceRecord, questionName: string): Buffer {
  // A name that is the question's points back to it (RFC 1035 4.1.4), as every server does.
  const owner = record.name === questionName ? Buffer.from([0xc0, 12]) : writeName(record.name)
  const fixed = Buffer.alloc(10)
  fixed.writeUInt16BE(types[record.type], 0)
  fixed.writeUInt16BE(1, 2)
  fixed.writeUInt32BE(record.ttl, 4)
  fixed.writeUInt16BE(record.data.length, 8)
  return Buffer.concat([owner, fixed, record.data])
}

export function writeName(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '')
  return Buffer.concat([
    ...labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
    Buffer.from([0]),
  ])
}

export function srvData(port: number, target: string): Buffer {
  const fixed = Buffer.alloc(6)
  fixed.writeUInt16BE(100, 2) // weight, as CoreDNS has it for one target
  fixed.writeUInt16BE(port, 4)
  return Buffer.concat([fixed, writeName(target)])
}

export function txtData(text: string): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text)])
}

/** RFC 2308: the last field, the negative TTL in seconds, is what caches go by. */
export function soaData(zone: string, negativeTtl: number): Buffer {
  const numbers = Buffer.alloc(20)
  for (const [i, value] of [1, 7200, 1800, 86400, negativeTtl].entries()) numbers.writeUInt32BE(value, 4 * i)
  return Buffer.concat([writeName(`ns.dns.${zone}`), writeName(`hostmaster.${zone}`), numbers])
}
