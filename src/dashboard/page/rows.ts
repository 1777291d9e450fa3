// Filtering and sorting of table rows.
import type { Column, Sorting } from './table.tsx'

const texts = new WeakMap<object, string>()

/** The rows whose text has all the words, sorted. Rows are values: one that changes is another object. */
export function arrange<R extends object>(
  rows: Iterable<R>,
  columns: Column<R>[],
  sorting: Sorting,
  filter: string,
  text: (row: R) => string,
): R[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean)
  const kept: R[] = []
  for (const row of rows) if (words.length === 0 || matches(row, words, text)) kept.push(row)
  const order = columns.find(({ key }) => key === sorting.key)?.order
  if (!order) return kept
  const sign = sorting.descending ? -1 : 1
  return kept
    .map((row) => ({ row, by: order(row) }))
    .sort((a, b) => (a.by < b.by ? -sign : a.by > b.by ? sign : 0))
    .map(({ row }) => row)
}

function matches<R extends object>(row: R, words: string[], text: (row: R) => string): boolean {
  let all = texts.get(row)
  if (all === undefined) {
    all = text(row).toLowerCase()
    texts.set(row, all)
  }
  return words.every((word) => all.includes(word))
}
