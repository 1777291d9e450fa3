// Server-sent events over fetch: EventSource cannot send the session's header.
import { authorization } from './page-session.ts'

/** Between two attempts to reach a server that does not answer, ms. */
const AGAIN_MS = 1_000

export interface EventHandlers {
  onOpen(): void
  /** The server refused; it is not asked again. */
  onRefused(): void
  /** The stream has ended, or the server could not be reached; it is asked again. */
  onLost(): void
  onEvent(topic: string, data: string): void
}

/** Follows the stream at `url` until it is refused or the returned function is called. */
export function followEvents(url: string, handlers: EventHandlers): () => void {
  const ending = new AbortController()
  const { signal } = ending
  const attempt = async () => {
    const response = await fetch(url, { headers: authorization(), signal })
    if (!response.ok || !response.body) return response.status < 500
    handlers.onOpen()
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    const parser = new EventParser(handlers.onEvent)
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return false
      parser.take(value)
    }
  }
  const run = async () => {
    while (!signal.aborted) {
      const refused = await attempt().catch(() => false)
      if (signal.aborted) return
      if (refused) return handlers.onRefused()
      handlers.onLost()
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
    }
  }
  void run()
  return () => ending.abort()
}

/** The part of the format that our server writes: one `event` and one `data` line each, ended by an empty line. */
export class EventParser {
  readonly #tell: EventHandlers['onEvent']
  #parts: string[] = []

  constructor(tell: EventHandlers['onEvent']) {
    this.#tell = tell
  }

  take(text: string): void {
    // A large event comes in many pieces; they are joined once, when its end is there.
    let from = 0
    for (let end: number; (end = this.#end(text, from)) >= 0; from = end) {
      this.#parts.push(text.slice(from, end))
      const block = this.#parts.join('')
      this.#parts = []
      const [, topic, data] = /^event: (\w+)\ndata: (.*)\n\n$/.exec(block) ?? []
      if (topic !== undefined) this.#tell(topic, data)
    }
    if (from < text.length) this.#parts.push(text.slice(from))
  }

  /** Where the event ends that has begun, or -1. The two line ends may come in two pieces. */
  #end(text: string, from: number): number {
    if (from === 0 && text[0] === '\n' && this.#parts.at(-1)?.endsWith('\n')) return 1
    const at = text.indexOf('\n\n', from)
    return at < 0 ? -1 : at + 2
  }
}
