// A dashboard before an engine's stand-in.

import type { KtCommand } from '../../src/dashboard/forwards.ts'
import { type Dashboard, serveDashboard } from '../../src/dashboard/page-server.ts'
import { EngineDouble } from './double.ts'

/** Made by the build, which the tests' runner does first. */

/** Nobody's holders but those of the test. */
export function whose(engine: EngineDouble): { uid: number; env: NodeJS.ProcessEnv } {
  return { uid: process.getuid!(), env: { XDG_RUNTIME_DIR: engine.folder } }
}

export interface Fixture extends AsyncDisposable {
  engine: EngineDouble
  dashboard: Dashboard
}

/** `prepare` says what the engine has when the dashboard looks first; with `start: false` it does not run yet. */
export async function fixture(
  prepare: (engine: EngineDouble) => void = () => {},
  start = true,
  kt: KtCommand = { program: 'false', flags: [] },
): Promise<Fixture> {
  const engine = new EngineDouble()
  prepare(engine)
  if (start) await engine.start()
  const dashboard = await serveDashboard({ port: 0, socket: engine.socket, kt, ...whose(engine) })
  return {
    engine,
    dashboard,
    async [Symbol.asyncDispose]() {
      dashboard.close()
      await engine[Symbol.asyncDispose]()
    },
  }
}
