// Reads the head of an HTTP/1 message from a connection: whole, within a time, and with all heads together in bounded memory, since
// nobody is so easily kept waiting as one who reads a head that does not end.
import type { Clock } from '../../base/clock.ts'
import { HttpError, MAX_RESPONSE_HEAD, parseResponseHead, type ResponseHead } from '../../wire/http/head.ts'
import type { HeadMemory } from './head-memory.ts'
import { CutOff, type Wire } from './wire.ts'

/** Most heads are shorter than this. */
const FIRST_BYTES = 1024
const END = '\r\n\r\n'

/** The server said something that is not HTTP/1.x. */
export class BadGateway extends Error {}

/** As `readHead`, for at most `ms`: then HttpError 408, after which `wire` is of no use but for the answer. */
export async function readHeadWithin(
  ms: number,
  clock: Clock,
  wire: Wire,
  most: number,
  memory: HeadMemory,
): Promise<string | undefined> {
  let cancel = () => {}
  const late = new Promise<never>((_, reject) => {
    const late = new HttpError(408, `the head of the request did not come within ${ms} ms`)
    cancel = clock.after(ms, () => reject(late))
  })
  try {
    return await Promise.race([readHead(wire, most, memory), late])
  } finally {
    cancel()
  }
}

/** A message's head as latin1, with its empty line. Undefined when the stream ends before it. Throws HttpError. */
async function readHead(wire: Wire, most: number, memory: HeadMemory): Promise<string | undefined> {
  let bytes: Buffer = Buffer.alloc(0)
  let have = 0
  try {
    for (;;) {
      const chunk = await wire.read()
      if (!chunk) {
        if (have === 0) return undefined
        throw new CutOff('a message ends in its head')
      }
      const before = have
      const part = chunk.subarray(0, most + END.length)
      if (have + part.length > bytes.length) {
        const larger = Math.max(FIRST_BYTES, have + part.length, Math.min(2 * bytes.length, most + END.length))
        if (!memory.take(larger - bytes.length))
          throw new HttpError(503, 'too many requests are on their way; try again')
        const grown = Buffer.allocUnsafeSlow(larger)
        bytes.copy(grown, 0, 0, have)
        bytes = grown
      }
      part.copy(bytes, have)
      have += part.length
      // RFC 9112 2.2: empty lines before a request are skipped.
      let lead = 0
      while (lead + 1 < have && bytes[lead] === 13 && bytes[lead + 1] === 10) lead += 2
      bytes.copyWithin(0, lead, have)
      have -= lead
      const end = bytes.subarray(0, have).indexOf(END, Math.max(0, before - lead - 3), 'latin1')
      if (end > most || (end < 0 && have > most)) throw new HttpError(431, `a head of more than ${most} bytes`)
      if (end < 0) continue
      wire.unread(chunk.subarray(lead + end + END.length - before))
      return bytes.toString('latin1', 0, end + END.length)
    }
  } finally {
    memory.give(bytes.length)
  }
}

/** The next head of a server's. Undefined when it is gone before it has said so much. Throws BadGateway. */
export async function readAnswerHead(
  server: Wire,
  method: string,
  memory: HeadMemory,
): Promise<{ text: string; answer: ResponseHead } | undefined> {
  let text: string | undefined
  try {
    text = await readHead(server, MAX_RESPONSE_HEAD, memory)
  } catch (error) {
    if (error instanceof HttpError) throw new BadGateway(`the server sent ${error.message}`)
  }
  if (text === undefined) return undefined
  try {
    return { text, answer: parseResponseHead(text, method) }
  } catch (error) {
    throw new BadGateway((error as Error).message)
  }
}
