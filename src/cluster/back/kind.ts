// What each of the five kinds (selector, scale, run, mesh auto, mesh manual) does in the cluster: one object of this shape
// in kinds/. docs/understand/exchange.md is the state machine behind it.
import type { BackHandle, Restored } from '../back-port.ts'
import type { Progress, ShadowHandle, ShadowHooks, ShadowOptions } from '../port.ts'
import type { BackContext } from './context.ts'

/** A kind, whose `begin` understands this request. Of the calls, back-port.ts says what they promise. */
export interface ClusterKind<Request> extends HeldKind {
  begin(
    context: BackContext,
    request: Request,
    options: ShadowOptions,
    progress: Progress,
    hooks: ShadowHooks,
  ): Promise<BackHandle>
}

/** What can be done with one that has begun. */
export interface HeldKind {
  /** Leads requests to the shadows. */
  switch(context: BackContext, handle: BackHandle, progress: Progress): Promise<void>
  /** Leads them back. */
  restore(context: BackContext, handle: BackHandle, progress: Progress): Promise<Restored>
  /** Deletes what kt made; nothing leads to the shadows then. */
  remove(context: BackContext, handle: BackHandle): Promise<void>
  /** A second shadow. */
  add(context: BackContext, handle: BackHandle, progress: Progress, hooks: ShadowHooks): Promise<ShadowHandle>
  /** A shadow in place of `handle.shadow`. */
  replace(context: BackContext, handle: BackHandle, progress: Progress, hooks: ShadowHooks): Promise<ShadowHandle>
}
