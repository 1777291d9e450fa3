// How the person who called takes part when a credential plugin runs: what it says is shown, and where their command still
// waits at a terminal, it may ask them.
import type { PluginSetting } from '../cluster/plugin.ts'
import type { ShadowConfig } from '../control/config.ts'
import type { Progress } from '../control/protocol.ts'

/** `waits`: is the command still there? */
export function pluginSetting(
  { terminal }: Pick<ShadowConfig, 'terminal'>,
  waits: () => boolean,
  tell: (p: Progress) => void,
): PluginSetting {
  return {
    terminal: () => (waits() ? terminal : undefined),
    said: (detail) => tell({ step: 'login', state: 'note', detail, ms: 0 }),
  }
}
