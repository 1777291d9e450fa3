// Blocks of a pcapng file, as Wireshark and tshark read them: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html
// Little-endian, one interface of raw IP packets, times in microseconds. Each function returns one whole block.
import type { IpAddress } from '../wire/address.ts'

// 4.1 to 4.5: block types
const SECTION_HEADER = 0x0a0d0d0a
const INTERFACE_DESCRIPTION = 1
const NAME_RESOLUTION = 4
const ENHANCED_PACKET = 6

const BYTE_ORDER = 0x1a2b3c4d
/** https://www.tcpdump.org/linktypes.html: LINKTYPE_RAW, a packet that begins with its IPv4 or IPv6 header. */
const LINKTYPE_RAW = 101
/** Wireshark's largest packet (wiretap/wtap.h); a super-segment has 64 KiB. */
const SNAP_LENGTH = 262_144

// 3.5, 4.1, 4.2, 4.3: option codes
const OPT_END = 0
const OPT_COMMENT = 1
const SHB_USERAPPL = 4
const IF_NAME = 2
const EPB_FLAGS = 2
const EPB_DROPCOUNT = 4

// 4.5: record types
const NRB_END = 0
const NRB_IPV4 = 1
const NRB_IPV6 = 2

const padded = (length: number): number => (length + 3) & ~3

/** What a file begins with: the section, and the interface all its packets are of. */
export function fileHeader(application: string, interfaceName: string): Buffer {
  const section = block(SECTION_HEADER, 16, [textOption(SHB_USERAPPL, application)], (body) => {
    body.writeUInt32LE(BYTE_ORDER, 0)
    body.writeUInt16LE(1, 4) // version 1.0
    body.writeBigInt64LE(-1n, 8) // length of the section: not told
  })
  const device = block(INTERFACE_DESCRIPTION, 8, [textOption(IF_NAME, interfaceName)], (body) => {
    body.writeUInt16LE(LINKTYPE_RAW, 0)
    body.writeUInt32LE(SNAP_LENGTH, 4)
  })
  return Buffer.concat([section, device])
}

export interface PacketNotes {
  /** Seen from this machine's programs: `in` is to them. */
  direction: 'in' | 'out'
  comment?: string
  /** Packets lost between the one before and this. */
  dropped?: number
}

/** One IP packet, `data[start .. end)`, seen at `microseconds` since 1970. */
export function packetBlock(
  data: Uint8Array,
  start: number,
  end: number,
  microseconds: number,
  { direction, comment, dropped = 0 }: PacketNotes,
): Buffer {
  const length = end - start
  const options: Option[] = [{ code: EPB_FLAGS, value: numberValue(direction === 'in' ? 1 : 2, 4) }] // 4.3.1, bits 0-1
  if (dropped > 0) options.push({ code: EPB_DROPCOUNT, value: numberValue(dropped, 8) })
  if (comment) options.push(textOption(OPT_COMMENT, comment))
  return block(ENHANCED_PACKET, 20 + padded(length), options, (body) => {
    body.writeUInt32LE(Math.floor(microseconds / 2 ** 32), 4)
    body.writeUInt32LE((microseconds % 2 ** 32) >>> 0, 8)
    body.writeUInt32LE(length, 12)
    body.writeUInt32LE(length, 16)
    body.set(data.subarray(start, end), 20)
  })
}

/** Names of addresses, for the packets behind it. */
export function namesBlock(names: readonly [address: IpAddress, name: string][]): Buffer {
  const records = names.map(([{ family, bytes }, name]) => ({
    code: family === 4 ? NRB_IPV4 : NRB_IPV6,
    value: Buffer.concat([bytes, Buffer.from(`${name}\0`)]),
  }))
  // Records are laid out as options are, and end as they do.
  return block(NAME_RESOLUTION, 0, [...records, { code: NRB_END, value: Buffer.alloc(0) }], () => {})
}

interface Option {
  code: number
  value: Uint8Array
}

const textOption = (code: number, text: string): Option => ({ code, value: Buffer.from(text) })

function numberValue(value: number, bytes: 4 | 8): Buffer {
  const buffer = Buffer.alloc(bytes)
  buffer.writeUInt32LE(value >>> 0, 0)
  if (bytes === 8) buffer.writeUInt32LE(Math.floor(value / 2 ** 32), 4)
  return buffer
}

/** 3.1: type, length, body, options, and the length again. */
function block(type: number, bodyLength: number, options: Option[], write: (body: Buffer) => void): Buffer {
  const ended =
    options.length === 0 || options.at(-1)!.code === OPT_END
      ? options
      : [...options, { code: OPT_END, value: Buffer.alloc(0) }]
  const total = ended.reduce((sum, { value }) => sum + 4 + padded(value.length), 12 + bodyLength)
  const bytes = Buffer.alloc(total)
  bytes.writeUInt32LE(type, 0)
  bytes.writeUInt32LE(total, 4)
  write(bytes.subarray(8, 8 + bodyLength))
  let at = 8 + bodyLength
  for (const { code, value } of ended) {
    bytes.writeUInt16LE(code, at)
    bytes.writeUInt16LE(value.length, at + 2)
    bytes.set(value, at + 4)
    at += 4 + padded(value.length)
  }
  bytes.writeUInt32LE(total, at)
  return bytes
}
