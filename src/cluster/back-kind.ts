// The five ways in which requests come here. What each does in the cluster is in back/kinds.ts; what its holder does, in
// src/daemon/back/kinds.ts.
import type { BackHandle } from './back-port.ts'

export type Kind = 'selector' | 'scale' | 'run' | 'mesh-auto' | 'mesh-manual'

export function kindOf({ mode, mesh }: Pick<BackHandle, 'mode' | 'mesh'>): Kind {
  return mesh ? `mesh-${mesh.mode}` : mode
}
