// WebSocket frames as a server sends them: not masked.
import { MAX_HEADER, sealFrame } from '../../src/tunnel/transport/websocket/frame.ts'

export function serverFrame(opcode: number, payload: Buffer, final = true): Buffer {
  const frame = Buffer.alloc(MAX_HEADER + payload.length)
  frame.set(payload, MAX_HEADER)
  const start = sealFrame(opcode, frame, MAX_HEADER, frame.length)
  const header = frame.subarray(start, MAX_HEADER - 4)
  header[1] &= 0x7f
  if (!final) header[0] &= 0x7f
  return Buffer.concat([header, payload])
}
