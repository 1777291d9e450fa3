// Prints names, one a line, for completion: `list KIND SELECTION`, the selection as JSON. A program of its own, since the
// command line itself does not know the cluster; whoever starts it sets the time limit.

import type { ClusterSelection } from '../cluster/calls.ts'
import { listNames, type NameKind } from '../cluster/names.ts'

const [kind, selection] = process.argv.slice(2)
try {
  const names = await listNames(kind as NameKind, JSON.parse(selection ?? '{}') as ClusterSelection, process.env)
  process.stdout.write(names.map((name) => `${name}\n`).join(''))
} catch {
  process.exitCode = 1 // whoever presses Tab has no use for an error
}
