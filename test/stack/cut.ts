// Cuts a GSO super-segment as the kernel or a network card does, with every checksum computed: what comes out must be
// good packets, or the virtio header was wrong.
import { get16, get16le, get32, put16, put32 } from '../../src/wire/bytes.ts'
import { addBytes, finish, fold } from '../../src/wire/checksum.ts'
import { VNET_F_NEEDS_CSUM, VNET_GSO_NONE, VNET_GSO_TCPV4, VNET_HDR_LEN } from '../../src/wire/vnet.ts'

const IP = VNET_HDR_LEN

export function cutSegments(frame: Uint8Array): Uint8Array[] {
  const gso = frame[1]
  if (gso === VNET_GSO_NONE) return [completed(frame.slice())]
  const size = get16le(frame, 4)
  const headers = get16le(frame, 2)
  const v4 = gso === VNET_GSO_TCPV4
  const payload = frame.length - IP - headers
  const ipHeader = get16le(frame, 6)
  const cut: Uint8Array[] = []
  for (let offset = 0; offset < payload; offset += size) {
    const length = Math.min(size, payload - offset)
    const one = new Uint8Array(IP + headers + length)
    one.set(frame.subarray(0, IP + headers))
    one.set(frame.subarray(IP + headers + offset, IP + headers + offset + length), IP + headers)
    one[1] = VNET_GSO_NONE
    const tcp = IP + ipHeader
    put32(one, tcp + 4, (get32(frame, tcp + 4) + offset) | 0)
    if (offset + length < payload) one[tcp + 13] &= ~(1 | 8) // FIN and PSH are the last one's
    if (v4) {
      put16(one, IP + 2, headers + length)
      put16(one, IP + 10, 0)
      put16(one, IP + 10, finish(addBytes(0, one, IP, IP + ipHeader)))
    } else {
      put16(one, IP + 4, headers + length - 40)
    }
    // The partial sum holds the length of the whole.
    const whole = frame.length - IP - ipHeader
    const part = one.length - IP - ipHeader
    put16(one, tcp + 16, fold(get16(one, tcp + 16) + (~whole & 0xffff) + part))
    cut.push(completed(one))
  }
  return cut
}

/** Fills the checksum in that the header says is missing. */
function completed(frame: Uint8Array): Uint8Array {
  if ((frame[0] & VNET_F_NEEDS_CSUM) === 0) return frame
  const start = IP + get16le(frame, 6)
  const field = start + get16le(frame, 8)
  put16(frame, field, finish(addBytes(0, frame, start, frame.length)) || 0xffff)
  frame.fill(0, 0, IP)
  return frame
}
