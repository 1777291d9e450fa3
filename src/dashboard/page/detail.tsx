// All there is about one row, beside its table. Escape closes it.
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useId, useState } from 'preact/hooks'

interface DetailProps {
  title: ComponentChildren
  onClose(): void
  children: ComponentChildren
}

export function Detail({ title, onClose, children }: DetailProps): JSX.Element {
  const id = useId()
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && !(event.target as Element | null)?.closest?.('dialog, input')) onClose()
    }
    document.addEventListener('keydown', pressed)
    return () => document.removeEventListener('keydown', pressed)
  }, [onClose])
  return (
    <section class="card detail" aria-labelledby={id}>
      <div class="bar">
        <h2 id={id}>{title}</h2>
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
      {children}
    </section>
  )
}

/** Names and values; those without a value are left out. */
export function Facts({ rows }: { rows: [name: string, value: ComponentChildren][] }): JSX.Element {
  return (
    <dl>
      {rows
        .filter(([, value]) => value !== '' && value !== null && value !== undefined)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  )
}

/** Text that is to be used elsewhere, with a button that copies it. */
export function Copyable({ text, link }: { text: string; link?: boolean }): JSX.Element {
  const [copied, setCopied] = useState('')
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setCopied('Copied'),
      () => setCopied('Mark it and copy it yourself'),
    )
  useEffect(() => {
    const timer = setTimeout(() => setCopied(''), 2_000)
    return () => clearTimeout(timer)
  }, [copied])
  return (
    <span class="copyable">
      {link ? (
        <a href={text} target="_blank" rel="noreferrer noopener">
          <code>{text}</code>
        </a>
      ) : (
        <code>{text}</code>
      )}
      <button type="button" class="small" aria-label={`Copy ${text}`} onClick={copy}>
        {copied || 'Copy'}
      </button>
    </span>
  )
}
