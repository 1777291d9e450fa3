// A table of any length: only the rows in sight are in the document, so thousands cost no more than dozens. It stays a
// real table for screen readers, which are told how many rows there are and which ones these are.
import type { ComponentChildren, JSX } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'

/** Height of a row in the style sheet, px. */
const ROW = 34
/** Rows kept beyond either edge, so that scrolling shows no holes. */
const SPARE = 8

export interface Column<R> {
  key: string
  title: string
  /** CSS width of the column. */
  width: string
  numeric?: boolean
  cell(row: R): ComponentChildren
  /** What the column is sorted by; without it, it cannot be. */
  order?(row: R): string | number
}

export interface Sorting {
  key: string
  descending: boolean
}

interface TableProps<R> {
  label: string
  columns: Column<R>[]
  /** Sorted and filtered. */
  rows: R[]
  id(row: R): string | number
  sorting: Sorting
  onSort(sorting: Sorting): void
  /** Shown in place of rows. */
  empty: string
}

export function Table<R>({ label, columns, rows, id, sorting, onSort, empty }: TableProps<R>): JSX.Element {
  const box = useRef<HTMLDivElement>(null)
  const [seen, setSeen] = useState({ from: 0, to: 40 })
  useLayoutEffect(() => {
    const element = box.current!
    const look = () => {
      const from = Math.max(0, Math.floor(element.scrollTop / ROW) - SPARE)
      const to = Math.ceil((element.scrollTop + element.clientHeight) / ROW) + SPARE
      setSeen((before) => (before.from === from && before.to === to ? before : { from, to }))
    }
    look()
    element.addEventListener('scroll', look, { passive: true })
    const observer = new ResizeObserver(look)
    observer.observe(element)
    return () => {
      element.removeEventListener('scroll', look)
      observer.disconnect()
    }
  }, [])
  // A filter may have left fewer rows than were scrolled past.
  const from = Math.min(seen.from, Math.max(0, rows.length - (seen.to - seen.from)))
  const shown = rows.slice(from, seen.to)
  const below = Math.max(0, rows.length - from - shown.length)
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard (WCAG 2.1.1)
    <section class="scroll" ref={box} aria-label={label} tabIndex={0}>
      <table aria-rowcount={rows.length + 1}>
        <colgroup>
          {columns.map(({ key, width }) => (
            <col key={key} style={{ width }} />
          ))}
        </colgroup>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map((column) => (
              <Heading key={column.key} column={column} sorting={sorting} onSort={onSort} />
            ))}
          </tr>
        </thead>
        <tbody>
          {from > 0 && <Spacer rows={from} />}
          {shown.map((row, i) => (
            <tr key={id(row)} aria-rowindex={from + i + 2}>
              {columns.map(({ key, numeric, cell }) => (
                <td key={key} class={numeric ? 'number' : undefined}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
          {below > 0 && <Spacer rows={below} />}
        </tbody>
      </table>
      {rows.length === 0 && <p class="empty">{empty}</p>}
    </section>
  )
}

function Spacer({ rows }: { rows: number }): JSX.Element {
  // biome-ignore lint/a11y/noAriaHiddenOnFocusable: a row without cells takes no focus
  return <tr aria-hidden="true" class="spacer" style={{ height: `${rows * ROW}px` }} />
}

function Heading<R>({
  column,
  sorting,
  onSort,
}: {
  column: Column<R>
  sorting: Sorting
  onSort(sorting: Sorting): void
}): JSX.Element {
  const { key, title, numeric, order } = column
  const current = sorting.key === key
  const direction = sorting.descending ? 'descending' : 'ascending'
  return (
    <th scope="col" class={numeric ? 'number' : undefined} aria-sort={current ? direction : undefined}>
      {order ? (
        // Numbers are looked at from the largest on, words from A.
        <button
          type="button"
          onClick={() => onSort({ key, descending: current ? !sorting.descending : numeric === true })}
        >
          {title}
          {current && (
            <span aria-hidden="true" class="arrow">
              {sorting.descending ? '↓' : '↑'}
            </span>
          )}
        </button>
      ) : (
        title
      )}
    </th>
  )
}
