// Big-endian numbers in byte arrays, read by index. A DataView takes five times as long, and an object per packet even longer.
// 32-bit values are signed (`| 0`), so that they stay small integers and sequence arithmetic is a plain subtraction.

export function get16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1]
}

/** As a signed 32-bit integer. */
export function get32(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]
}

export function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8
  bytes[at + 1] = value
}

export function put32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 24
  bytes[at + 1] = value >> 16
  bytes[at + 2] = value >> 8
  bytes[at + 3] = value
}

/** Little-endian, as the virtio header is. */
export function get16le(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8)
}

/** Copies `length` bytes. For a few bytes a loop is faster than `set`, which needs a view. */
export function copyBytes(target: Uint8Array, at: number, source: Uint8Array, from: number, length: number): void {
  if (length < 32) {
    for (let i = 0; i < length; i++) target[at + i] = source[from + i]
  } else if (from === 0 && length === source.length) {
    target.set(source, at)
  } else {
    target.set(source.subarray(from, from + length), at)
  }
}
