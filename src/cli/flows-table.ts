// Flows as a table for people: columns as wide as what they hold, one line a flow.
import { visible } from '../base/visible.ts'
import type { FlowReport } from '../control/views.ts'
import { dim, formatAge, formatBytes } from './output.ts'

/** Longest program and name shown, and how short they are made where the window is narrow. */
const MOST_WIDTH = 40
const LEAST_WIDTH = 16
const GAP = '  '

/** Bytes a second, by the flow's id. */
export type Rates = ReadonlyMap<number, { in: number; out: number }>

interface Column {
  head: string
  text(flow: FlowReport): string
  /** Numbers end flush. */
  number?: true
  /** Made shorter where the window is narrow. */
  elastic?: true
}

const columns = (rates?: Rates): Column[] => [
  { head: 'PROGRAM', text: ({ process }) => (process ? `${process.name}[${process.pid}]` : '?'), elastic: true },
  { head: 'TO', text: ({ name, remote }) => (name ? `${name}:${portOf(remote)}` : '?'), elastic: true },
  { head: 'ADDRESS', text: ({ protocol, remote }) => `${protocol} ${remote}` },
  { head: 'STATE', text: ({ state }) => state.toLowerCase() },
  ...(rates
    ? (['in', 'out'] as const).map((way): Column => {
        const rate = (flow: FlowReport) => rates.get(flow.id)?.[way] ?? 0
        return { head: `${way.toUpperCase()}/S`, text: (flow) => perSecond(rate(flow)), number: true }
      })
    : []),
  { head: 'IN', text: ({ bytesIn }) => formatBytes(bytesIn), number: true },
  { head: 'OUT', text: ({ bytesOut }) => formatBytes(bytesOut), number: true },
  { head: 'AGE', text: ({ ageMs }) => formatAge(ageMs), number: true },
  { head: 'IDLE', text: ({ idleMs }) => formatAge(idleMs), number: true },
]

/**
 * The head and a line a flow, without line ends; with `rates` in two more columns. Where `room`, the window's columns, is
 * too small, programs and names are made shorter; then columns are left out from the right, and a last line names them.
 */
export function flowsTable(
  flows: FlowReport[],
  stream: NodeJS.WriteStream,
  rates?: Rates,
  room = Number.POSITIVE_INFINITY,
): string[] {
  const made = columns(rates).map((column) => ({ ...column, cells: flows.map((flow) => visible(column.text(flow))) }))
  const natural = made.map(({ head, cells, elastic }) => {
    const width = Math.max(head.length, ...cells.map((cell) => cell.length))
    return elastic ? Math.min(width, MOST_WIDTH) : width
  })
  const total = (widths: number[]) => widths.reduce((sum, width) => sum + width, GAP.length * (widths.length - 1))
  let excess = total(natural) - room
  const widths = natural.map((width, i) => {
    const less = made[i].elastic ? Math.max(0, Math.min(excess, width - LEAST_WIDTH)) : 0
    excess -= less
    return width - less
  })
  let count = made.length
  while (count > 1 && total(widths.slice(0, count)) > room) count--

  const line = (texts: string[]) =>
    texts
      .slice(0, count)
      .map((text, i) => {
        const cell = short(text, widths[i])
        return made[i].number ? cell.padStart(widths[i]) : cell.padEnd(widths[i])
      })
      .join(GAP)
      .trimEnd()
  const left = made.slice(count).map(({ head }) => head)
  return [
    dim(stream, line(made.map(({ head }) => head))),
    ...flows.map((_, row) => line(made.map(({ cells }) => cells[row]))),
    ...(left.length > 0 ? [dim(stream, `this window is too narrow for ${left.join(', ')}`)] : []),
  ]
}

const portOf = (endpoint: string): string => endpoint.slice(endpoint.lastIndexOf(':') + 1)
const perSecond = (rate: number): string => (rate === 0 ? '-' : formatBytes(Math.round(rate)))
const short = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text)
