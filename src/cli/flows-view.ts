// `kt flows --watch`: the table of flows with what moves now. Sorted by what each has moved in all, so that lines stay
// where they are while one reads them.
import type { FlowReport, Flows } from '../control/views.ts'
import { flowsTable } from './flows-table.ts'
import type { ViewSize } from './live-view.ts'
import { bold, dim, formatBytes } from './output.ts'

/** Makes pictures of one report after another; each tells the rates since the one before. */
export class FlowsView {
  #before = new Map<number, FlowReport>()
  #at = 0

  /** `now` in ms. */
  lines({ flows, total }: Flows, { rows, columns }: ViewSize, now: number, out: NodeJS.WriteStream): string[] {
    const seconds = this.#at === 0 ? 0 : (now - this.#at) / 1000
    const rate = (flow: FlowReport, key: 'bytesIn' | 'bytesOut') => {
      const before = this.#before.get(flow.id)
      return before && seconds > 0 ? Math.max(0, flow[key] - before[key]) / seconds : 0
    }
    const rates = new Map(flows.map((flow) => [flow.id, { in: rate(flow, 'bytesIn'), out: rate(flow, 'bytesOut') }]))
    const sum = (key: 'in' | 'out') => [...rates.values()].reduce((all, one) => all + one[key], 0)
    this.#before = new Map(flows.map((flow) => [flow.id, flow]))
    this.#at = now

    const sorted = [...flows].sort((a, b) => b.bytesIn + b.bytesOut - a.bytesIn - a.bytesOut || a.id - b.id)
    // Title, a blank line, the head, and two lines that say what is left out.
    const fitting = Math.max(0, rows - 5)
    const shown = sorted.length > fitting ? sorted.slice(0, Math.max(0, fitting)) : sorted
    const title = `${bold(out, `${total} flow${total === 1 ? '' : 's'}`)}   ${formatBytes(Math.round(sum('in')))}/s in   ${formatBytes(Math.round(sum('out')))}/s out`
    return [
      `${title}   ${dim(out, 'q leaves')}`,
      '',
      ...(shown.length > 0
        ? flowsTable(shown, out, rates, columns)
        : ['no program talks to the cluster at the moment']),
      ...(shown.length < total ? [dim(out, `and ${total - shown.length} more`)] : []),
    ]
  }
}
