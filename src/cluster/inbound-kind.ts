// The five ways in which requests come here. What each does in the cluster is in inbound/kinds.ts; what its holder does, in
// src/daemon/inbound/kinds.ts.
import type { InboundHandle } from './inbound-calls.ts'

export type Kind = 'selector' | 'scale' | 'run' | 'mesh-auto' | 'mesh-manual'

export function kindOf({ mode, mesh }: Pick<InboundHandle, 'mode' | 'mesh'>): Kind {
  return mesh ? `mesh-${mesh.mode}` : mode
}
