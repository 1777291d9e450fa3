// The agent without its process: an SSH server whose sessions are AgentSessions, counted.
import type { Socket } from 'node:net'
import { createSshServer } from '../tunnel/ssh/server.ts'
import { AgentSession, type SessionContext } from './session.ts'

export interface AgentServerOptions extends SessionContext {
  /** Private host key, OpenSSH PEM. */
  hostKey: string
  /** The public key that may connect, as in an authorized_keys file. Undefined: any. */
  authorized: string | undefined
  /** Called when the number of authenticated sessions changed. */
  onSessions: (count: number) => void
}

export interface AgentServer {
  /** Serves a connection. */
  serve(socket: Socket): void
  close(): void
}

/** Throws Error when a key cannot be read. */
export function createAgentServer(options: AgentServerOptions): AgentServer {
  let sessions = 0
  const count = (change: 1 | -1) => {
    sessions += change
    options.log(`session ${change > 0 ? 'opened' : 'closed'}, ${sessions} now`)
    options.onSessions(sessions)
  }
  return createSshServer({
    ...options,
    onSession(mux, budget) {
      const session = new AgentSession(mux, budget, options)
      count(1)
      return {
        lost() {
          session.lost()
          count(-1)
        },
      }
    },
  })
}
