// The field above a table. The key / puts the cursor there from anywhere, Escape empties and leaves it.
import type { JSX } from 'preact'
import { useEffect, useRef } from 'preact/hooks'

interface FilterProps {
  label: string
  hint: string
  value: string
  onChange(value: string): void
}

export function Filter({ label, hint, value, onChange }: FilterProps): JSX.Element {
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const typing = (event.target as Element | null)?.closest?.('input, select, textarea, dialog')
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || typing) return
      event.preventDefault()
      field.current?.select()
    }
    document.addEventListener('keydown', pressed)
    return () => document.removeEventListener('keydown', pressed)
  }, [])
  return (
    <input
      ref={field}
      type="search"
      aria-label={label}
      aria-keyshortcuts="/"
      placeholder={`/  ${hint}`}
      value={value}
      spellcheck={false}
      onInput={(event) => onChange(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === 'Escape') {
          onChange('')
          event.currentTarget.blur()
        } else if (event.key === 'ArrowDown' || event.key === 'Enter') {
          event.preventDefault()
          event.currentTarget.closest('.full')?.querySelector<HTMLElement>('.scroll')?.focus()
        }
      }}
    />
  )
}
