// Flows as a table for people: columns as wide as what they hold, one line a flow.
import type { FlowReport } from '../control/views.ts'
import { dim, formatAge, formatBytes } from './output.ts'

const HEADS = ['PROGRAM', 'TO', 'ADDRESS', 'STATE', 'IN', 'OUT', 'AGE', 'IDLE']
const RATE_HEADS = ['IN/S', 'OUT/S']
/** Columns of numbers, which end flush: all from here on. */
const FIRST_NUMBER = 4
/** Longest name and program shown; a table must fit beside an address. */
const MOST_WIDTH = 40

/** Bytes a second, by the flow's id. */
export type Rates = ReadonlyMap<number, { in: number; out: number }>

/** The head and a line a flow, without line ends; with `rates` in two more columns. */
export function flowsTable(flows: FlowReport[], stream: NodeJS.WriteStream, rates?: Rates): string[] {
  const heads = rates ? [...HEADS.slice(0, FIRST_NUMBER), ...RATE_HEADS, ...HEADS.slice(FIRST_NUMBER)] : HEADS
  const rows = flows.map((flow) => {
    const rate = rates?.get(flow.id)
    return [
      short(flow.process ? `${flow.process.name}[${flow.process.pid}]` : '?'),
      short(flow.name ? `${flow.name}:${portOf(flow.remote)}` : '?'),
      `${flow.protocol} ${flow.remote}`,
      flow.state.toLowerCase(),
      ...(rate ? [perSecond(rate.in), perSecond(rate.out)] : []),
      formatBytes(flow.bytesIn),
      formatBytes(flow.bytesOut),
      formatAge(flow.ageMs),
      formatAge(flow.idleMs),
    ]
  })
  const widths = heads.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column].length)))
  const line = (cells: string[]) =>
    cells
      .map((cell, i) => (i >= FIRST_NUMBER ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join('  ')
      .trimEnd()
  return [dim(stream, line(heads)), ...rows.map(line)]
}

const portOf = (endpoint: string): string => endpoint.slice(endpoint.lastIndexOf(':') + 1)
const perSecond = (rate: number): string => (rate === 0 ? '-' : formatBytes(Math.round(rate)))
const short = (text: string): string => (text.length > MOST_WIDTH ? `${text.slice(0, MOST_WIDTH - 1)}…` : text)
