// A question before something is done: the browser's own modal dialog, which keeps the focus and closes with Escape.
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useId, useRef, useState } from 'preact/hooks'

export interface Question {
  title: string
  text: ComponentChildren
  /** On the button that does it. */
  confirm: string
  /** Resolves to undefined when done, or to what went wrong. */
  run(): Promise<string | undefined>
}

/** Puts a question to the person before something is done. */
export type Ask = (question: Question) => void

export function Dialog({ question, onClose }: { question: Question; onClose(): void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null)
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState('')
  const title = useId()
  useEffect(() => dialog.current?.showModal(), [])
  const run = async () => {
    setBusy(true)
    setError('')
    const failed = await question.run()
    if (failed === undefined) dialog.current?.close()
    else setError(failed)
    setBusy(false)
  }
  return (
    <dialog ref={dialog} aria-labelledby={title} onClose={onClose}>
      <h2 id={title}>{question.title}</h2>
      <div class="text">{question.text}</div>
      <p role="alert" class="bad">
        {error}
      </p>
      <div class="buttons">
        {/* The focus starts here: Enter by accident does nothing. */}
        <button type="button" onClick={() => dialog.current?.close()}>
          Cancel
        </button>
        <button type="button" class="primary" disabled={busy} onClick={run}>
          {busy ? 'Working…' : question.confirm}
        </button>
      </div>
    </dialog>
  )
}
