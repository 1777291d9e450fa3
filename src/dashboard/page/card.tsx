// A titled box of the overview.
import type { ComponentChildren, JSX } from 'preact'

export function Card({ title, children }: { title: string; children: ComponentChildren }): JSX.Element {
  const id = title.toLowerCase().replaceAll(/\W+/g, '-')
  return (
    <section class="card" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {children}
    </section>
  )
}
