// A titled box of the overview.
import type { ComponentChildren, JSX } from 'preact'

interface CardProps {
  title: string
  /** Takes the whole width. */
  wide?: boolean
  children: ComponentChildren
}

export function Card({ title, wide, children }: CardProps): JSX.Element {
  const id = title.toLowerCase().replaceAll(/\W+/g, '-')
  return (
    <section class={wide ? 'card wide' : 'card'} aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {children}
    </section>
  )
}
