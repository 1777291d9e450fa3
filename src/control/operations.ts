// The table of what may be asked over the control socket: arguments, result, and what is told before the result. The
// engine checks the arguments against these schemas, since whatever runs as its user may write to the socket. The types of
// both ends come from here. A new operation is an entry here and a handler in the engine or the holder.
import * as z from 'zod/mini'
import { ShadowConfig } from './config.ts'
import type {
  DnsAnswer,
  DnsStatus,
  Held,
  Progress,
  ProxyStatus,
  ServiceReports,
  ShellReport,
  Status,
  Team,
} from './protocol.ts'
import type { CaptureEvent, DnsLogEntry, DnsTrace, Flows, PutBack, Requests, Sample, WatchEvent } from './views.ts'

type Nothing = Record<string, never>

interface OperationEntry<Args extends z.ZodMiniType = z.ZodMiniType, Result = unknown, Event = unknown> {
  readonly args: Args
  /** For the compiler: the asking side has no schemas at run time. */
  readonly types?: { result: Result; event: Event }
}

/** Arguments by their schema; result, and what is told before it (steps, where nothing else is said), by type. */
const takes = <Args extends z.ZodMiniType>(args: Args) => ({
  gives: <Result, Event = Progress>(): OperationEntry<Args, Result, Event> => ({ args }),
})

const nothing = z.strictObject({})
const question = z.strictObject({ name: z.string(), type: z.string() })

export const OPERATIONS = {
  status: takes(nothing).gives<Status>(),
  /** Looks at this machine now, as far as that takes 4 s at most; what is wrong is in the status afterwards. */
  look: takes(nothing).gives<Nothing>(),
  down: takes(nothing).gives<{ notes: string[] }>(),
  /** Of a holder: what it holds. */
  held: takes(nothing).gives<Held>(),
  /** Of a proxy: how it does. */
  proxy: takes(nothing).gives<ProxyStatus>(),
  /** Of a shell: the same. */
  shell: takes(nothing).gives<ShellReport>(),
  /** Of a holder: puts back what it holds, then ends. */
  leave: takes(nothing).gives<{ notes: string[] }>(),
  /**
   * Of a holder: requests that ended after the one with number `since`. From the first question on it reads them, and with
   * `bodies` the beginnings of their bodies.
   */
  requests: takes(
    z.strictObject({ since: z.optional(z.int().check(z.minimum(0))), bodies: z.optional(z.boolean()) }),
  ).gives<Requests>(),
  /**
   * Is this the cluster and namespace we are connected to? `given`: parts of an UpConfig; `ignored` names those that this
   * connection does not have so.
   */
  same: takes(
    z.strictObject({
      ...z.pick(ShadowConfig, { kubeconfig: true, context: true, namespace: true, env: true }).shape,
      given: z.optional(z.record(z.string(), z.unknown())),
    }),
  ).gives<{ same: boolean; wanted: string; current: string; ignored?: string[] }>(),
  services: takes(nothing).gives<ServiceReports>(),
  team: takes(nothing).gives<Team>(),
  /** As `kt recover` does, in the cluster that is connected; takes 12 s to see whether the holder lives. */
  recover: takes(
    z.strictObject({
      target: z.string().check(z.minLength(1), z.maxLength(253)),
      namespace: z.string().check(z.minLength(1), z.maxLength(63)),
    }),
  ).gives<PutBack>(),
  'dns.status': takes(nothing).gives<DnsStatus>(),
  'dns.query': takes(question).gives<DnsAnswer>(),
  /** What programs asked last, oldest first; only what came after the entry `since`. */
  'dns.log': takes(z.strictObject({ since: z.optional(z.int().check(z.minimum(0))) })).gives<{
    entries: DnsLogEntry[]
  }>(),
  /** Asks anew, whatever the cache has, and tells each decision. */
  'dns.trace': takes(question).gives<DnsTrace>(),
  /** `waitMs`: how long to wait for names and programs that have to be found; those that come later are in the next answer. */
  flows: takes(z.strictObject({ waitMs: z.optional(z.int().check(z.minimum(0), z.maximum(2000))) })).gives<Flows>(),
  /** Tells the packets of programs until the caller goes; with `filter` those of one service, pod or address. */
  capture: takes(z.strictObject({ filter: z.optional(z.string()) })).gives<Nothing, CaptureEvent>(),
  /** The last ten minutes, a sample a second, oldest first; only those after `since` (their `at`). */
  samples: takes(z.strictObject({ since: z.optional(z.number()) })).gives<{ samples: Sample[] }>(),
  /** Prometheus' text format. */
  metrics: takes(nothing).gives<{ text: string }>(),
  /** Tells how kt does, each second until the caller goes; with `dns` also what programs ask from now on. */
  watch: takes(z.strictObject({ dns: z.optional(z.boolean()) })).gives<Nothing, WatchEvent>(),
} as const satisfies Record<string, OperationEntry>

export type Operation = keyof typeof OPERATIONS
export type ArgsOf<O extends Operation> = z.infer<(typeof OPERATIONS)[O]['args']>
export type ResultOf<O extends Operation> = NonNullable<(typeof OPERATIONS)[O]['types']>['result']
/** What an operation tells before its result. */
export type EventOf<O extends Operation> = NonNullable<(typeof OPERATIONS)[O]['types']>['event']

/** A request as it comes, before its operation is known. */
export const Envelope = z.object({ v: z.number(), id: z.number(), op: z.string(), args: z.unknown() })
