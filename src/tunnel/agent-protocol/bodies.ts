// The JSON bodies of the frame channel, docs/understand/agent-protocol.md: what each side may say. Whoever reads one reads it here, since
// neither side may believe the other.
import * as z from 'zod/mini'
import { unfitHeader } from '../../base/version-header.ts'
import { IpAddress } from '../../wire/address.ts'

const protocol = z.int({ error: 'protocol must be a whole number from 1' }).check(z.minimum(1))
const arrivals = z.optional(z.number({ error: 'arrivals must be a number of milliseconds' }).check(z.nonnegative()))

const clientHello = z.object(
  {
    protocol,
    client: z.string({ error: 'client must be text' }).check(z.maxLength(200, 'client must be short')),
    arrivals,
    /** Key of the line below the session, base64: docs/understand/line.md. */
    line: z.optional(z.string({ error: 'line must be text' }).check(z.maxLength(100, 'line must be short'))),
  },
  'an object is needed',
)

const agentHello = z.object({
  protocol,
  agent: z.string().check(z.maxLength(200)),
  session: z.optional(z.string()),
  addresses: z._default(z.array(z.string().check(z.refine((text) => IpAddress.tryParse(text) !== undefined))), []),
  resolvConf: z.optional(z.string()),
  arrivals,
  capabilities: z._default(
    z.object({
      udp: z._default(z.boolean(), false),
      ping: z._default(z.boolean(), false),
      reset: z._default(z.boolean(), true),
      answersEmpty: z.optional(z.boolean()),
    }),
    { udp: false, ping: false, reset: true },
  ),
  /** It has taken the key of the line. */
  line: z.optional(z.boolean()),
  /** So many paths at a time may carry the line; 1 if it says nothing. */
  paths: z.optional(z.int().check(z.minimum(1))),
  /** The agent does not go on with this client. */
  error: z.optional(z.string()),
})

const port = z
  .int({ error: 'port must be a number from 1 to 65535' })
  .check(
    z.minimum(1, 'port must be a number from 1 to 65535'),
    z.maximum(65_535, 'port must be a number from 1 to 65535'),
  )

const match = z.object(
  {
    header: z.string({ error: 'header must be text' }),
    value: z.string({ error: 'value must be text' }),
    prefix: z.boolean({ error: 'prefix must be true or false' }),
  },
  'match must be an object',
)

const patience = z.optional(z.number({ error: 'patience must be a number of milliseconds' }).check(z.nonnegative()))

const listenRequest = z.object(
  { port, protocol: z.enum(['TCP', 'UDP'], 'protocol must be TCP or UDP'), match: z.optional(match), patience },
  'an object is needed',
)

export type ClientHello = z.infer<typeof clientHello>
export type AgentHello = z.infer<typeof agentHello>
/** The body of LISTEN. */
export type ListenRequest = z.infer<typeof listenRequest>

/** What a body says, or in words what is wrong with it. */
type Read<T> = { readonly body: T } | { readonly wrong: string }

export const readClientHello = (bytes: Buffer): Read<ClientHello> => read(clientHello, bytes)
export const readAgentHello = (bytes: Buffer): Read<AgentHello> => read(agentHello, bytes)

export function readListen(bytes: Buffer): Read<ListenRequest> {
  const listen = read(listenRequest, bytes)
  if ('wrong' in listen || !listen.body.match) return listen
  const { header, value, prefix } = listen.body.match
  const wrong = unfitHeader(header, value, prefix)
  return wrong === undefined ? listen : { wrong }
}

function read<T>(schema: z.ZodMiniType<T>, bytes: Buffer): Read<T> {
  let json: unknown
  try {
    json = JSON.parse(bytes.toString())
  } catch {
    return { wrong: 'this is not JSON' }
  }
  const parsed = schema.safeParse(json)
  if (parsed.success) return { body: parsed.data }
  const [{ path, message }] = parsed.error.issues
  return { wrong: message === 'Invalid input' ? `${path.join('.')} is not what it must be` : message }
}
