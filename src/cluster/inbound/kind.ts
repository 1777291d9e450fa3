// What each of the five kinds (selector, scale, run, mesh auto, mesh manual) does in the cluster: one object of this shape
// in kinds/. docs/understand/exchange.md is the state machine behind it.

import type { Progress, ShadowHandle, ShadowHooks, ShadowOptions } from '../calls.ts'
import type { InboundHandle, Restored } from '../inbound-calls.ts'
import type { InboundContext } from './context.ts'

/** A kind, whose `begin` understands this request. Of the calls, back-port.ts says what they promise. */
export interface ClusterKind<Request> extends HeldKind {
  begin(
    context: InboundContext,
    request: Request,
    options: ShadowOptions,
    progress: Progress,
    hooks: ShadowHooks,
  ): Promise<InboundHandle>
}

/** What can be done with one that has begun. */
export interface HeldKind {
  /** Leads requests to the shadows. */
  switch(context: InboundContext, handle: InboundHandle, progress: Progress): Promise<void>
  /** Leads them back. */
  restore(context: InboundContext, handle: InboundHandle, progress: Progress): Promise<Restored>
  /** Deletes what kt made; nothing leads to the shadows then. */
  remove(context: InboundContext, handle: InboundHandle): Promise<void>
  /** A second shadow. */
  add(context: InboundContext, handle: InboundHandle, progress: Progress, hooks: ShadowHooks): Promise<ShadowHandle>
  /** A shadow in place of `handle.shadow`. */
  replace(context: InboundContext, handle: InboundHandle, progress: Progress, hooks: ShadowHooks): Promise<ShadowHandle>
}
