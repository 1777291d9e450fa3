// One service: where it is reached, the commands that one types for it, and the buttons that do the same.
import type { JSX } from 'preact'
import { Copyable, Detail, Facts } from './detail.tsx'
import type { Ask } from './dialog.tsx'
import { leaveQuestion } from './held.tsx'
import type { ServiceRow } from './service-rows.ts'
import { startQuestion } from './start.tsx'
import { useTopic } from './store.ts'

interface ServiceDetailProps {
  service: ServiceRow
  /** One's own, in which names are short. */
  namespace: string
  ask: Ask
  onClose(): void
}

export function ServiceDetail({ service, namespace, ask, onClose }: ServiceDetailProps): JSX.Element {
  const { name, ports, type, addresses, why, held, ready, total } = service
  const tcp = ports.filter(({ protocol }) => protocol === 'TCP')
  const first = tcp[0]?.port
  const host = service.namespace === namespace ? name : `${name}.${service.namespace}`
  const local = first !== undefined && first < 1024 ? 8000 + (first % 1000) : first
  const fit = type !== 'ExternalName' && first !== undefined
  const pair = `${local}:${first}`
  const mine = useTopic('held').filter((one) => one.target === name && one.namespace === service.namespace)
  // What one holds already cannot be begun again; it can be left.
  const kinds = mine.length > 0 ? (['forward'] as const) : (['exchange', 'mesh', 'forward'] as const)
  return (
    <Detail
      title={
        <>
          {name} <span class="muted">in {service.namespace}</span>
        </>
      }
      onClose={onClose}
    >
      {held.map(({ verb, who, own, version }) => (
        <p key={`${verb} ${who}`} class={own ? 'note own' : 'note'}>
          {verb} by {own ? 'you: its requests come to this machine' : who}
          {version && `, version ${version}`}
        </p>
      ))}
      <h3>Reach it</h3>
      {tcp.map(({ port, name: portName }) => (
        <p key={port}>
          <Copyable text={`http://${host}${port === 80 ? '' : `:${port}`}/`} link />{' '}
          {portName && <span class="muted">{portName}</span>}
        </p>
      ))}
      {tcp.length === 0 && <p class="muted">It has no TCP port.</p>}
      {fit && (
        <>
          <h3>Bring it here</h3>
          <p class="buttons start">
            {mine.map((held) => (
              <button key={`${held.kind} ${held.version}`} type="button" onClick={() => ask(leaveQuestion(held))}>
                Leave the {held.kind}…
              </button>
            ))}
            {kinds.map((kind) => (
              <button key={kind} type="button" onClick={() => ask(startQuestion(kind, service))}>
                {{ exchange: 'Exchange…', mesh: 'Mesh…', forward: 'Forward…' }[kind]}
              </button>
            ))}
          </p>
          {[
            ...(mine.length > 0
              ? [`kt leave ${name} -n ${service.namespace}`]
              : [
                  `kt exchange ${name} -n ${service.namespace} --expose ${pair}`,
                  `kt mesh ${name} -n ${service.namespace} --expose ${pair}`,
                ]),
            `kt forward ${name} ${pair} -n ${service.namespace}`,
          ].map((command) => (
            <p key={command}>
              <Copyable text={command} />
            </p>
          ))}
        </>
      )}
      <h3>What it is</h3>
      <Facts
        rows={[
          ['From here', why],
          ['Pods', ready === null ? 'cannot be seen' : `${ready} of ${total} ready`],
          ['Type', type],
          ['Address', addresses.join(', ')],
          [
            'Ports',
            ports.map(({ port, protocol, name }) => `${port}/${protocol}${name ? ` (${name})` : ''}`).join(', '),
          ],
        ]}
      />
    </Detail>
  )
}
