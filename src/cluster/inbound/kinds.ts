// The way back, as the cluster client calls it: each call goes to the kind that it is about.

import type { Progress, ShadowHandle, ShadowHooks, ShadowOptions } from '../calls.ts'
import type { ExchangeRequest, InboundHandle, MeshRequest, Restored, RunRequest } from '../inbound-calls.ts'
import { type Kind, kindOf } from '../inbound-kind.ts'
import type { InboundContext } from './context.ts'
import type { HeldKind } from './kind.ts'
import { meshAuto } from './kinds/mesh-auto.ts'
import { meshManual } from './kinds/mesh-manual.ts'
import { run } from './kinds/run.ts'
import { scale } from './kinds/scale.ts'
import { selector } from './kinds/selector.ts'

const exchanges = { selector, scale }
const meshes = { auto: meshAuto, manual: meshManual }
const kinds: Record<Kind, HeldKind> = { selector, scale, run, 'mesh-auto': meshAuto, 'mesh-manual': meshManual }

export function beginExchange(
  context: InboundContext,
  request: ExchangeRequest,
  options: ShadowOptions,
  progress: Progress,
  hooks: ShadowHooks = {},
): Promise<InboundHandle> {
  return exchanges[request.mode].begin(context, request, options, progress, hooks)
}

export function beginMesh(
  context: InboundContext,
  request: MeshRequest,
  options: ShadowOptions,
  progress: Progress,
  hooks: ShadowHooks = {},
): Promise<InboundHandle> {
  return meshes[request.mode].begin(context, request, options, progress, hooks)
}

export function beginRun(
  context: InboundContext,
  request: RunRequest,
  options: ShadowOptions,
  progress: Progress,
  hooks: ShadowHooks = {},
): Promise<InboundHandle> {
  return run.begin(context, request, options, progress, hooks)
}

export function switchExchange(context: InboundContext, handle: InboundHandle, progress: Progress): Promise<void> {
  return kinds[kindOf(handle)].switch(context, handle, progress)
}

export function restoreExchange(context: InboundContext, handle: InboundHandle, progress: Progress): Promise<Restored> {
  return kinds[kindOf(handle)].restore(context, handle, progress)
}

export function removeExchange(context: InboundContext, handle: InboundHandle): Promise<void> {
  return kinds[kindOf(handle)].remove(context, handle)
}

export function addShadow(
  context: InboundContext,
  handle: InboundHandle,
  progress: Progress,
  hooks: ShadowHooks = {},
): Promise<ShadowHandle> {
  return kinds[kindOf(handle)].add(context, handle, progress, hooks)
}

export async function replaceShadow(
  context: InboundContext,
  handle: InboundHandle,
  progress: Progress,
  hooks: ShadowHooks = {},
): Promise<InboundHandle> {
  return { ...handle, shadow: await kinds[kindOf(handle)].replace(context, handle, progress, hooks) }
}
