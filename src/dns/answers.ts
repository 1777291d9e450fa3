// Which addresses an answer tells, and under which names: what a reverse table is filled from. Names are followed through
// compression pointers here, each of which must lead further to the front, so that no message can make a loop.
import { IpAddress } from '../wire/address.ts'
import { HEADER_LEN, MAX_NAME, nameText, skipName, TYPE, u16 } from './message.ts'

const POINTER = 0xc0 // RFC 1035 4.1.4

/** Calls back for each A and AAAA record of the answer section, with its owner's name. Stops at what is malformed. */
export function addressesIn(message: Uint8Array, found: (name: string, address: IpAddress) => void): void {
  eachAnswer(message, (type, owner, data, length) => {
    if ((type === TYPE.A && length === 4) || (type === TYPE.AAAA && length === 16)) {
      const name = readName(message, owner)
      if (name !== undefined) found(name, new IpAddress(message.slice(data, data + length)))
    }
  })
}

/** The name in the first PTR record of the answer section. */
export function pointerIn(message: Uint8Array): string | undefined {
  let name: string | undefined
  eachAnswer(message, (type, _owner, data) => {
    if (type === TYPE.PTR) name ??= readName(message, data)
  })
  return name
}

function eachAnswer(b: Uint8Array, visit: (type: number, owner: number, data: number, length: number) => void): void {
  if (b.length < HEADER_LEN || u16(b, 4) !== 1) return
  let offset = skipName(b, HEADER_LEN, b.length) + 4
  if (offset < HEADER_LEN) return
  for (let i = u16(b, 6); i > 0; i--) {
    const owner = offset
    offset = skipName(b, offset, b.length)
    if (offset < 0 || offset + 10 > b.length) return
    const length = u16(b, offset + 8)
    const data = offset + 10
    if (data + length > b.length) return
    visit(u16(b, offset), owner, data, length)
    offset = data + length
  }
}

/** A name that may be compressed, as `nameText` writes it; undefined if it is malformed. */
function readName(b: Uint8Array, offset: number): string | undefined {
  const wire = new Uint8Array(MAX_NAME)
  let length = 0
  let before = offset
  for (;;) {
    if (offset >= b.length) return undefined
    const octet = b[offset]
    if (octet >= POINTER) {
      if (offset + 1 >= b.length) return undefined
      offset = ((octet & 0x3f) << 8) | b[offset + 1]
      if (offset >= before) return undefined
      before = offset
    } else {
      const next = offset + 1 + octet
      if (octet > 63 || next > b.length || length + 1 + octet > MAX_NAME) return undefined
      wire.set(b.subarray(offset, next), length)
      length += 1 + octet
      if (octet === 0) return nameText(wire)
      offset = next
    }
  }
}
