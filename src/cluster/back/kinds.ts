// The way back, as the cluster client calls it: each call goes to the kind that it is about.
import { type Kind, kindOf } from '../back-kind.ts'
import type { BackHandle, ExchangeRequest, MeshRequest, Restored, RunRequest } from '../back-port.ts'
import type { Progress, ShadowHandle, ShadowHooks, ShadowOptions } from '../port.ts'
import type { BackContext } from './context.ts'
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
  context: BackContext,
  request: ExchangeRequest,
  options: ShadowOptions,
  progress: Progress,
  hooks: ShadowHooks = {},
): Promise<BackHandle> {
  return exchanges[request.mode].begin(context, request, options, progress, hooks)
}

export function beginMesh(
  context: BackContext,
  request: MeshRequest,
  options: ShadowOptions,
  progress: Progress,
  hooks: ShadowHooks = {},
): Promise<BackHandle> {
  return meshes[request.mode].begin(context, request, options, progress, hooks)
}

export function beginRun(
  context: BackContext,
  request: RunRequest,
  options: ShadowOptions,
  progress: Progress,
  hooks: ShadowHooks = {},
): Promise<BackHandle> {
  return run.begin(context, request, options, progress, hooks)
}

export function switchExchange(context: BackContext, handle: BackHandle, progress: Progress): Promise<void> {
  return kinds[kindOf(handle)].switch(context, handle, progress)
}

export function restoreExchange(context: BackContext, handle: BackHandle, progress: Progress): Promise<Restored> {
  return kinds[kindOf(handle)].restore(context, handle, progress)
}

export function removeExchange(context: BackContext, handle: BackHandle): Promise<void> {
  return kinds[kindOf(handle)].remove(context, handle)
}

export function addShadow(
  context: BackContext,
  handle: BackHandle,
  progress: Progress,
  hooks: ShadowHooks = {},
): Promise<ShadowHandle> {
  return kinds[kindOf(handle)].add(context, handle, progress, hooks)
}

export async function replaceShadow(
  context: BackContext,
  handle: BackHandle,
  progress: Progress,
  hooks: ShadowHooks = {},
): Promise<BackHandle> {
  return { ...handle, shadow: await kinds[kindOf(handle)].replace(context, handle, progress, hooks) }
}
