// Light or dark: as the system says, until a person chooses otherwise.
import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'

const KEY = 'kt-theme'
const themes = ['auto', 'light', 'dark'] as const
type Theme = (typeof themes)[number]
const words: Record<Theme, string> = { auto: 'Auto', light: 'Light', dark: 'Dark' }

/** Fired on the document when colours have changed; canvases are drawn anew then. */
export const THEME_CHANGED = 'kt-theme-changed'

function stored(): Theme {
  const value = localStorage.getItem(KEY)
  return themes.find((theme) => theme === value) ?? 'auto'
}

function apply(theme: Theme): void {
  if (theme === 'auto') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = theme
  document.dispatchEvent(new Event(THEME_CHANGED))
}

/** Before anything is drawn. */
export function startTheme(): void {
  apply(stored())
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => apply(stored()))
}

export function ThemeButton(): JSX.Element {
  const [theme, setTheme] = useState(stored)
  useEffect(() => {
    localStorage.setItem(KEY, theme)
    apply(theme)
  }, [theme])
  const next = themes[(themes.indexOf(theme) + 1) % themes.length]
  return (
    <button
      type="button"
      class="quiet"
      aria-label={`Colours: ${words[theme]}`}
      title={`Switch to ${words[next]}`}
      onClick={() => setTheme(next)}
    >
      <span aria-hidden="true">{theme === 'light' ? '☀' : theme === 'dark' ? '☾' : '◐'}</span>{' '}
      <span class="theme-name">{words[theme]}</span>
    </button>
  )
}
