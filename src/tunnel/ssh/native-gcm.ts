// The compiled AES-GCM of native/gcm.c, where it can be loaded. It reads data from where it lies and needs no memory of its own
// for a packet.
import { createCipheriv } from 'node:crypto'

export interface GcmBinding {
  create(key: Uint8Array, encrypt: boolean): object
  /** In place. */
  encrypt(cipher: object, iv: Uint8Array, packet: Uint8Array): boolean
  /** Encrypts `packet` with `data[start .. end)` as its bytes from `at` on. */
  seal(
    cipher: object,
    iv: Uint8Array,
    packet: Uint8Array,
    at: number,
    data: Uint8Array,
    start: number,
    end: number,
  ): boolean
  /**
   * Decrypts `data[start .. end)`, a piece of a packet's body, to `memory[at ..)`. With `iv` a packet begins, whose length
   * field is in front of `at`. Nothing of the packet may be used before
   * `isAuthentic` has said true.
   */
  open(
    cipher: object,
    iv: Uint8Array | undefined,
    memory: Uint8Array,
    at: number,
    data: Uint8Array,
    start: number,
    end: number,
  ): boolean
  /** Is `memory[at .. at + 16)` the tag of the packet that was opened? */
  isAuthentic(cipher: object, memory: Uint8Array, at: number): boolean
}

/** What is lost without it. `node bench/tunnel.ts agent`, with and without it: 0.3 and 0.8 CPU seconds a GB. */
export const WITHOUT_COMPILED_GCM = 'kt encrypts with node:crypto, for two to three times the CPU time'

let binding: GcmBinding | undefined

/** What `loadGcm` has loaded. */
export function compiledGcm(): GcmBinding | undefined {
  return binding
}

/** Loads the cipher for all sessions that begin from now on. Returns why it cannot be used, or undefined if it can. */
export function loadGcm(load: () => GcmBinding): string | undefined {
  try {
    const loaded = load()
    if (!agrees(loaded)) return 'it does not encrypt as node:crypto does'
    binding = loaded
    return undefined
  } catch (error) {
    return (error as Error).message.split('\n')[0]
  }
}

/** The cipher uses the OpenSSL of the Node that runs, so it is tried before it is used. */
function agrees(candidate: GcmBinding): boolean {
  const [key, iv, packet] = [Buffer.alloc(16, 'key'), Buffer.alloc(12, 'iv'), Buffer.alloc(4 + 48 + 16, 'packet')]
  const aes = createCipheriv('aes-128-gcm', key, iv).setAAD(packet.subarray(0, 4))
  const body = aes.update(packet.subarray(4, 52))
  aes.final()
  const expected = Buffer.concat([packet.subarray(0, 4), body, aes.getAuthTag()])
  const [apart, opened] = [Buffer.alloc(packet.length), Buffer.from(expected)]
  apart.set(packet.subarray(0, 14))
  const decipher = candidate.create(key, false)
  return (
    candidate.seal(candidate.create(key, true), iv, apart, 14, packet, 14, 52) &&
    apart.equals(expected) &&
    candidate.encrypt(candidate.create(key, true), iv, apart.fill(packet)) &&
    apart.equals(expected) &&
    candidate.open(decipher, iv, opened, 4, expected, 4, 25) &&
    candidate.open(decipher, undefined, opened, 25, expected, 25, 52) &&
    candidate.isAuthentic(decipher, opened, 52) &&
    opened.subarray(0, 52).equals(packet.subarray(0, 52))
  )
}
