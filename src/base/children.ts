// Child processes. What nobody listens for must not end this process: the pipes to a child that is dying report errors, and a
// child that could not be made for want of descriptors has no pipes at all, but an `error` that comes later.
import type { ChildProcess } from 'node:child_process'

/** What its pipes report is told by its end as well. Listen for its `error` and its end beside this. Returns the child. */
export function quietPipes<C extends ChildProcess>(child: C): C {
  child.on('error', () => {})
  for (const pipe of child.stdio ?? []) pipe?.on('error', () => {})
  return child
}
