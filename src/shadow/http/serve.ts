// Serves a connection to a port of the agent that routes HTTP: tells by the first bytes what it speaks, and passes what is
// not HTTP to the original. Nothing is gathered: bodies pass as they come.

import type { Duplex } from 'node:stream'
import type { Clock } from '../../base/clock.ts'
import { detect } from '../../wire/http/detect.ts'
import { serveHttp1 } from './http1.ts'
import { serveHttp2 } from './http2.ts'
import type { HttpRouting } from './route.ts'
import { splice, Wire } from './wire.ts'

/** A client that is silent so long may wait for the server to speak first (SMTP, MySQL), so the original is dialled. */
const SILENT_MS = 300
/** A beginning that may become a request line and stays unfinished so long belongs to something else. */
const UNDECIDED_MS = 3000

/** Owns `socket` (`allowHalfOpen`). Resolves when it is done with it; never rejects. */
export async function serveHttp(socket: Duplex, served: HttpRouting): Promise<void> {
  const gone = new AbortController()
  socket.once('close', () => gone.abort())
  // Nobody waits for a connection that is dialled for a caller who has gone.
  const routing: HttpRouting = { ...served, original: () => served.original(gone.signal) }
  const client = new Wire(socket)
  try {
    const first = await firstBytes(client, routing)
    if (first.protocol === 'http1') await serveHttp1(client, routing, first.open)
    else if (first.protocol === 'http2') await serveHttp2(client, routing, first.open)
    else await splice(client, first.open ?? new Wire(await routing.original()))
  } catch {
    client.reset()
  }
}

/** Reads until it is known what the client speaks, and leaves what was read in front. */
async function firstBytes(
  client: Wire,
  routing: HttpRouting,
): Promise<{ protocol: 'http1' | 'http2' | 'other'; open: Wire | undefined }> {
  const held: Buffer[] = []
  let dialling: Promise<Wire> | undefined
  const dialled: { wire?: Wire } = {}
  const drop = () =>
    void dialling?.then(
      (wire) => wire.reset(),
      () => {},
    )
  const give = async (protocol: 'http1' | 'http2' | 'other') => {
    client.unread(Buffer.concat(held))
    // The requests may be for somebody else, so nobody waits for an original that has not answered yet.
    if (protocol !== 'other' && !dialled.wire) drop()
    return { protocol, open: protocol === 'other' ? await dialling : dialled.wire }
  }
  try {
    if ((await within(client.arrival(), SILENT_MS, routing.clock)) === 'late') {
      dialling = routing.original().then((stream) => {
        dialled.wire = new Wire(stream)
        return dialled.wire
      })
      // Whoever speaks first decides.
      await Promise.race([client.arrival(), dialling.then((wire) => wire.arrival())])
      if (dialled.wire?.readable || dialled.wire?.ended) return await give('other')
    }
    let text = ''
    let decideUntil = 0
    for (;;) {
      if (held.length > 0) {
        decideUntil ||= routing.clock.now() + UNDECIDED_MS
        if ((await within(client.arrival(), decideUntil - routing.clock.now(), routing.clock)) === 'late')
          return await give('other')
      }
      const chunk = await client.read()
      if (!chunk) return await give('other')
      held.push(chunk)
      text += chunk.toString('latin1')
      const protocol = detect(text)
      if (protocol) return await give(protocol)
    }
  } catch (error) {
    drop()
    throw error
  }
}

async function within(promise: Promise<void>, ms: number, clock: Clock): Promise<'late' | undefined> {
  let cancel = () => {}
  const late = new Promise<'late'>((resolve) => {
    cancel = clock.after(ms, () => resolve('late'))
  })
  const result = await Promise.race([promise, late])
  cancel()
  return result || undefined
}
