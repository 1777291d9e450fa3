// `kt metrics`: the engine's counters for Prometheus (node_exporter's textfile collector, or a scrape by script).
import type { Command } from 'commander'
import { withEngine } from '../engine.ts'
import { withClusterOptions } from './common.ts'

export function addMetricsCommand(program: Command): void {
  withClusterOptions(program.command('metrics').description("kt's counters in Prometheus' text format")).action(
    async () => {
      const { text } = await withEngine((engine) => engine.request('metrics', {}))
      process.stdout.write(text)
    },
  )
}
