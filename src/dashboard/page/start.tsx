// Begins an exchange, mesh or forward of a Service from the page, after a question that also asks for the ports.
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { ServiceReport } from '../../control/protocol.ts'
import type { Start } from '../model.ts'
import { act } from './act.ts'
import type { Question } from './dialog.tsx'

const words = {
  exchange: {
    title: 'Exchange',
    what: 'All requests of the cluster to this port come to a program on your machine, for everybody who uses the Service. The other ports stay with the original pods. Leaving puts everything back.',
  },
  mesh: {
    title: 'Mesh',
    what: 'Only requests with a header of yours come to a program on your machine; all others stay where they are. The header is shown when it works.',
  },
  forward: {
    title: 'Forward',
    what: 'A port of your machine leads to the Service, while this dashboard runs.',
  },
} as const

/** Ports below 1024 need root here. */
const localPort = (remote: number) => (remote < 1024 ? 8000 + (remote % 1000) : remote)

export function startQuestion(kind: Start['kind'], service: ServiceReport): Question {
  const { name: target, namespace } = service
  const ports = service.ports.filter(({ protocol }) => protocol === 'TCP')
  const remote = ports[0]?.port ?? 80
  const chosen: Start = { kind, target, namespace, remote, local: localPort(remote) }
  return {
    title: `${words[kind].title} ${target}?`,
    text: <Fields chosen={chosen} ports={ports} />,
    confirm: words[kind].title,
    run: async () => {
      const outcome = await act('start', chosen)
      return outcome.ok ? undefined : `${outcome.message}; ${outcome.hint}`
    },
  }
}

/** Writes what is chosen into `chosen`. */
function Fields({ chosen, ports }: { chosen: Start; ports: ServiceReport['ports'] }): JSX.Element {
  const [local, setLocal] = useState(chosen.local)
  const [remote, setRemote] = useState(chosen.remote)
  chosen.local = local
  chosen.remote = remote
  return (
    <>
      <p>{words[chosen.kind].what}</p>
      <div class="fields">
        <label>
          Port of {chosen.target}
          <select value={remote} onChange={(event) => setRemote(Number(event.currentTarget.value))}>
            {ports.map(({ port, name }) => (
              <option key={port} value={port}>
                {port} {name && `(${name})`}
              </option>
            ))}
          </select>
        </label>
        <label>
          Port of this machine
          <input
            type="number"
            min={1}
            max={65535}
            value={local}
            onInput={(event) => setLocal(event.currentTarget.valueAsNumber)}
          />
        </label>
      </div>
      {chosen.kind !== 'forward' && <p class="muted">Your program must listen on localhost:{local || '…'} already.</p>}
    </>
  )
}
