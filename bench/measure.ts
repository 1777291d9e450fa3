// What the benchmarks share: bytes allocated, the conditions of a run, tables in markdown, and the section of a page that a
// command writes.
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { GCProfiler } from 'node:v8'

/** Bytes that `work` allocates on the JavaScript heap: its growth, and what each collection meanwhile has freed. */
export function allocated(work: () => void): number {
  const profiler = new GCProfiler()
  profiler.start()
  const before = process.memoryUsage().heapUsed
  work()
  const after = process.memoryUsage().heapUsed
  let freed = 0
  for (const { beforeGC, afterGC } of profiler.stop().statistics)
    freed += beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize
  return after - before + freed
}

export const median = (list: readonly number[]) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]

/** A number with three digits that count, thousands set apart. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '-'
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toLocaleString('en', { maximumFractionDigits: Math.min(digits, 3) })
}

/** A table in markdown. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) =>
    `| ${cells.map((cell) => (typeof cell === 'number' ? figure(cell) : cell)).join(' | ')} |`
  return [line(head), `|${head.map((_, i) => (i === 0 ? ' --- |' : ' ---: |')).join('')}`, ...rows.map(line)].join('\n')
}

/** On what a run was made, in one sentence. */
export function conditions(): string {
  const [{ model }] = cpus()
  const load = loadavg()[0].toFixed(1)
  const day = new Date().toISOString().slice(0, 10)
  return `Node ${process.versions.node}, ${model.trim()}, ${cpus().length} cores, load ${load} at the start, ${day}.`
}

/** Puts `text` between `<!-- NAME -->` and `<!-- /NAME -->` of a page. */
export function writeSection(path: string, name: string, text: string): void {
  const page = readFileSync(path, 'utf8')
  const open = `<!-- ${name} -->`
  const start = page.indexOf(open)
  const end = page.indexOf(`<!-- /${name} -->`)
  if (start < 0 || end < start) throw new Error(`${path} has no section ${open}`)
  writeFileSync(path, `${page.slice(0, start + open.length)}\n${text.trim()}\n${page.slice(end)}`)
}

/** CPU microseconds of this thread so far; of the process where Node (before 23.9) does not tell threads apart. */
export function cpuMicros(): number {
  const { user, system } = process.threadCpuUsage?.() ?? process.cpuUsage()
  return user + system
}
