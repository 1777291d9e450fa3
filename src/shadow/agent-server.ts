// The agent without its process: an SSH server whose sessions are AgentSessions, counted.
import type { Socket } from 'node:net'
import { createSshServer, type SshServer, type SshServerOptions } from '../tunnel/ssh/ssh-server.ts'
import { AgentSession, type SessionContext } from './agent-session.ts'
import type { Departure } from './departure.ts'

export interface AgentServerOptions
  extends Omit<SessionContext, 'onRelease'>,
    Pick<SshServerOptions, 'clock' | 'lineWaitMs'> {
  /** Private host key, OpenSSH PEM. */
  hostKey: string
  /** The public key that may connect, as in an authorized_keys file. Undefined: any. */
  authorized: string | undefined
  /** Called when the number of authenticated sessions changed. */
  onSessions: (count: number) => void
  /** Told of the sessions, and of those that do not need the agent any more. */
  departure: Departure<AgentSession>
  /** Called when `departure` was told something. */
  onChange: () => void
}

export interface AgentServer {
  /** Serves a connection. */
  serve(socket: Socket): void
  /** Tells all clients, and those that come, that the agent was told to end. */
  leave(): void
  close(): void
}

/** Throws Error when a key cannot be read. */
export function createAgentServer(options: AgentServerOptions): AgentServer {
  const sessions = new Set<AgentSession>()
  // `kt clean` reads these lines (src/cluster/inbound/idle-shadows.ts): how many clients are there now.
  const tell = (event: 'opened' | 'closed' | 'absent' | 'back') =>
    options.log(`session ${event}, ${sessions.size - server.absent} now`)
  const count = (event: 'opened' | 'closed') => {
    tell(event)
    options.onSessions(sessions.size)
  }
  const onRelease = (session: AgentSession) => {
    options.departure.release(session, options.clock.now())
    options.onChange()
  }
  const server: SshServer = createSshServer({
    ...options,
    onPresence: tell,
    onSession(mux, budget, secure) {
      const session = new AgentSession(mux, budget, { ...options, onRelease }, secure)
      sessions.add(session)
      options.departure.join(session)
      options.onChange()
      if (options.departure.told) session.leave()
      count('opened')
      return {
        lost() {
          session.lost()
          sessions.delete(session)
          options.departure.lose(session)
          options.onChange()
          count('closed')
        },
      }
    },
  })
  return {
    ...server,
    leave() {
      for (const session of sessions) session.leave()
    },
  }
}
