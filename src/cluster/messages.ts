// What client and worker say to each other: JSON over Node's IPC channel. The types of both ends come from these schemas.
import * as z from 'zod/mini'
import { METHODS, type Method } from './calls.ts'
import { ClusterErrorCode, ClusterSelection } from './cluster-calls.ts'
import { InboundEvent } from './inbound-calls.ts'
import { ShadowHandle } from './shadow-calls.ts'

const id = z.number()
const method = z.enum(Object.keys(METHODS) as Method[])

/** What a credential plugin answered. */
const PluginAnswer = z.object({
  token: z.optional(z.string()),
  cert: z.optional(z.string()),
  key: z.optional(z.string()),
  /** ms since 1970; undefined: for as long as the process lives. */
  expires: z.optional(z.number()),
})
export type PluginAnswer = z.infer<typeof PluginAnswer>

/** To the worker. `open` comes first, once. */
const Request = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('open'),
    selection: ClusterSelection,
    agentBundle: z.optional(z.string()),
    kept: z.array(z.tuple([z.string(), PluginAnswer])),
    /** For credential plugins, not for the worker. */
    nodeOptions: z.optional(z.string()),
  }),
  z.object({
    type: z.literal('call'),
    id,
    method,
    args: z.array(z.unknown()),
    /** Of the person who waits for it, if there is one. */
    terminal: z.optional(z.string()),
  }),
  z.object({ type: z.literal('abort'), id }),
  /** To be answered at once, whatever else it does. */
  z.object({ type: z.literal('ping') }),
])
export type Request = z.infer<typeof Request>

/** To the client. Each call ends with one `result` or `error`. */
const Reply = z.discriminatedUnion('type', [
  z.object({ type: z.literal('progress'), id, step: z.string(), detail: z.string() }),
  z.object({ type: z.literal('pong') }),
  z.object({ type: z.literal('dialable'), id, shadow: ShadowHandle }),
  z.object({ type: z.literal('event'), id, event: InboundEvent }),
  z.object({ type: z.literal('result'), id, value: z.optional(z.unknown()) }),
  /** A line of a credential plugin's standard error. */
  z.object({ type: z.literal('said'), line: z.string() }),
  /** A plugin's answer for the next worker, too; without one it is forgotten. */
  z.object({ type: z.literal('kept'), id: z.string(), answer: z.optional(PluginAnswer) }),
  z.object({ type: z.literal('error'), id, code: ClusterErrorCode, message: z.string(), hint: z.string() }),
])
export type Reply = z.infer<typeof Reply>

/** Undefined for what is no request. */
export const readRequest = (message: unknown): Request | undefined => Request.safeParse(message).data

/** Undefined for what is no reply. */
export const readReply = (message: unknown): Reply | undefined => Reply.safeParse(message).data
