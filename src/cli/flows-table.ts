// Flows as a table for people: columns as wide as what they hold, one line a flow.
import type { FlowReport } from '../control/views.ts'
import { dim, formatAge, formatBytes } from './output.ts'

const HEADS = ['PROGRAM', 'TO', 'ADDRESS', 'STATE', 'IN', 'OUT', 'AGE', 'IDLE']
/** Columns of numbers end flush. */
const FLUSH_RIGHT = new Set([4, 5, 6, 7])

/** The head and a line a flow, without line ends. */
export function flowsTable(flows: FlowReport[], stream: NodeJS.WriteStream): string[] {
  const rows = flows.map((flow) => [
    flow.process ? `${flow.process.name}[${flow.process.pid}]` : '?',
    flow.name ? `${flow.name}:${portOf(flow.remote)}` : '?',
    `${flow.protocol} ${flow.remote}`,
    flow.state.toLowerCase(),
    formatBytes(flow.bytesIn),
    formatBytes(flow.bytesOut),
    formatAge(flow.ageMs),
    formatAge(flow.idleMs),
  ])
  const widths = HEADS.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column].length)))
  const line = (cells: string[]) =>
    cells
      .map((cell, i) => (FLUSH_RIGHT.has(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join('  ')
      .trimEnd()
  return [dim(stream, line(HEADS)), ...rows.map(line)]
}

const portOf = (endpoint: string): string => endpoint.slice(endpoint.lastIndexOf(':') + 1)
