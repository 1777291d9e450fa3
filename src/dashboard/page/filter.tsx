// The field above a table.
import type { JSX } from 'preact'

interface FilterProps {
  label: string
  hint: string
  value: string
  onChange(value: string): void
}

export function Filter({ label, hint, value, onChange }: FilterProps): JSX.Element {
  return (
    <input
      type="search"
      aria-label={label}
      placeholder={hint}
      value={value}
      spellcheck={false}
      onInput={(event) => onChange(event.currentTarget.value)}
    />
  )
}
