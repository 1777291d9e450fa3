// A table of any length: only the rows in sight are in the document, so thousands cost no more than dozens. It stays a
// real table for screen readers, which are told how many rows there are and which ones these are. On a narrow screen each
// row is a card. Arrow keys move from row to row, and Enter, or a click, opens one.
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'

/** Height of a row in the style sheet, and of a line of a card, px. */
const ROW = 36
const CARD_LINE = 26
const CARD_REST = 26
const NARROW = '(max-width: 720px)'
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
  /** A row is opened. */
  onOpen?(row: R): void
  /** The one that is open. */
  open?: string | number
}

export function Table<R>(props: TableProps<R>): JSX.Element {
  const { label, columns, rows, id, sorting, onSort, empty, onOpen, open } = props
  const box = useRef<HTMLDivElement>(null)
  const narrow = useNarrow()
  const height = narrow ? columns.length * CARD_LINE + CARD_REST : ROW
  const [seen, setSeen] = useState({ from: 0, to: 40 })
  /** By its identity: rows come and go above it. */
  const [current, setCurrent] = useState<string | number>()
  useLayoutEffect(() => {
    const element = box.current!
    const look = () => {
      const from = Math.max(0, Math.floor(element.scrollTop / height) - SPARE)
      const to = Math.ceil((element.scrollTop + element.clientHeight) / height) + SPARE
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
  }, [height])
  const move = (event: KeyboardEvent) => {
    if (event.target !== box.current || event.ctrlKey || event.metaKey || event.altKey) return
    const step = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key]
    const at = current === undefined ? -1 : rows.findIndex((row) => id(row) === current)
    if (event.key === 'Enter' && at >= 0) return onOpen?.(rows[at])
    if (step === undefined || rows.length === 0) return
    event.preventDefault()
    const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))
    setCurrent(id(rows[next]))
    const element = box.current!
    const [top, head] = [next * height, narrow ? 0 : ROW]
    if (top < element.scrollTop) element.scrollTop = top
    else if (top + height + head > element.scrollTop + element.clientHeight)
      element.scrollTop = top + height + head - element.clientHeight
  }
  // A filter may have left fewer rows than were scrolled past.
  const from = Math.min(seen.from, Math.max(0, rows.length - (seen.to - seen.from)))
  const shown = rows.slice(from, seen.to)
  const below = Math.max(0, rows.length - from - shown.length)
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard (WCAG 2.1.1)
    <section class="scroll" ref={box} aria-label={label} tabIndex={0} onKeyDown={move}>
      <table aria-rowcount={rows.length + 1} class={onOpen && 'opens'}>
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
          {from > 0 && <Spacer height={from * height} />}
          {shown.map((row, i) => (
            <tr
              key={id(row)}
              aria-rowindex={from + i + 2}
              aria-current={id(row) === current ? 'true' : undefined}
              class={id(row) === open ? 'open' : undefined}
              style={narrow ? { height: `${height}px` } : undefined}
              onClick={() => {
                // Whoever marks text to copy it opens nothing.
                if (getSelection()?.isCollapsed === false) return
                setCurrent(id(row))
                onOpen?.(row)
              }}
            >
              {columns.map(({ key, title, numeric, cell }) => (
                <td key={key} class={numeric ? 'number' : undefined} data-title={title} onMouseEnter={showWhole}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
          {below > 0 && <Spacer height={below * height} />}
        </tbody>
      </table>
      {rows.length === 0 && <p class="empty">{empty}</p>}
    </section>
  )
}

/** What is cut at the edge of a cell is told when one points at it. */
function showWhole({ currentTarget: cell }: { currentTarget: HTMLElement }): void {
  cell.title = cell.scrollWidth > cell.clientWidth ? (cell.textContent ?? '') : ''
}

function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(() => matchMedia(NARROW).matches)
  useEffect(() => {
    const query = matchMedia(NARROW)
    const changed = () => setNarrow(query.matches)
    query.addEventListener('change', changed)
    return () => query.removeEventListener('change', changed)
  }, [])
  return narrow
}

function Spacer({ height }: { height: number }): JSX.Element {
  // biome-ignore lint/a11y/noAriaHiddenOnFocusable: a row without cells takes no focus
  return <tr aria-hidden="true" class="spacer" style={{ height: `${height}px` }} />
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
