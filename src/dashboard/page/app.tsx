// The page's frame: who is connected to what, the way between the views, and what is said when there is nothing to show.
import type { JSX } from 'preact'
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { act } from './act.ts'
import { type Ask, Dialog, type Question } from './dialog.tsx'
import { Flows } from './flows.tsx'
import { Held } from './held.tsx'
import { Names } from './names.tsx'
import { Overview } from './overview.tsx'
import { Requests } from './requests.tsx'
import { Services } from './services.tsx'
import { type StateWords, stateWords } from './state.ts'
import { useTopic } from './store.ts'
import { ThemeButton } from './theme.tsx'

interface View {
  path: string
  title: string
  view(props: { ask: Ask }): JSX.Element | null
  /** Has something to show without a connection, too. */
  alone?: boolean
}

const views: View[] = [
  { path: '', title: 'Overview', view: Overview },
  { path: 'requests', title: 'Requests', view: Requests, alone: true },
  { path: 'services', title: 'Services', view: Services },
  { path: 'flows', title: 'Flows', view: Flows },
  { path: 'names', title: 'Names', view: Names },
]

export function App(): JSX.Element {
  const connection = useTopic('connection')
  const stream = useTopic('stream')
  const path = useHash()
  const [asked, setAsked] = useState<{ question: Question; key: number }>()
  const count = useRef(0)
  // Each question has a dialog of its own: the browser tells of the end of one in a later task, when the next may have been asked.
  const ask = useCallback((question: Question) => setAsked({ question, key: ++count.current }), [])
  const words = stateWords(stream, connection)
  const { title, view: View, alone } = views.find((one) => one.path === path) ?? views[0]
  useEffect(() => {
    document.title = `${title} · ${words.title} · kt`
  }, [title, words.title])
  return (
    <>
      <button type="button" class="skip" onClick={skip}>
        Skip to the content
      </button>
      <header>
        <span class="brand">
          <img src="/icon.svg" alt="" width="26" height="26" /> kt
        </span>
        <nav aria-label="Views">
          {views.map((one) => (
            <a key={one.path} href={`#${one.path}`} aria-current={one.title === title ? 'page' : undefined}>
              {one.title}
            </a>
          ))}
        </nav>
        <State words={words} />
        <ThemeButton />
        {words.live && (
          <button type="button" onClick={() => ask(disconnectQuestion(connection.status?.cluster ?? ''))}>
            Disconnect
          </button>
        )}
      </header>
      <main id="main" tabIndex={-1}>
        <h1 class="hidden">{title}</h1>
        {(words.live && connection.status) || (alone && words.served) ? (
          <View ask={ask} />
        ) : (
          <NotConnected words={words} ask={ask} />
        )}
      </main>
      {asked && (
        <Dialog
          key={asked.key}
          question={asked.question}
          onClose={() => setAsked((now) => (now === asked ? undefined : now))}
        />
      )}
    </>
  )
}

function State({ words }: { words: StateWords }): JSX.Element {
  return (
    <p class="state">
      <span class={`dot ${words.kind}`} aria-hidden="true" />
      <span role="status">{words.title}</span>
    </p>
  )
}

function NotConnected({ words, ask }: { words: StateWords; ask: Ask }): JSX.Element {
  const held = useTopic('held')
  const forwards = useTopic('forwards')
  return (
    <section class="nothing" aria-labelledby="nothing">
      <h2 id="nothing">{words.title}</h2>
      <p>{words.text}</p>
      {words.command && (
        <p>
          <code class="command">{words.command}</code>
        </p>
      )}
      {/* An exchange needs no `kt up`. */}
      {held.length + forwards.length > 0 && <Held ask={ask} />}
    </section>
  )
}

function disconnectQuestion(cluster: string): Question {
  return {
    title: `Disconnect from ${cluster}?`,
    text: 'Open connections to the cluster end, routes and names are put back as they were, and the shadow pod is removed.',
    confirm: 'Disconnect',
    run: async () => {
      const outcome = await act('disconnect', {})
      return outcome.ok ? undefined : `${outcome.message}; ${outcome.hint}`
    },
  }
}

/** A button and no link: the hash is the view's name. */
function skip(): void {
  document.getElementById('main')?.focus()
}

function useHash(): string {
  const [hash, setHash] = useState(location.hash.slice(1))
  useEffect(() => {
    const changed = () => setHash(location.hash.slice(1))
    addEventListener('hashchange', changed)
    return () => removeEventListener('hashchange', changed)
  }, [])
  return hash
}
