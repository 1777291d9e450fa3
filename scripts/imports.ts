// Checks that imports go one way, by the rules of .dependency-cruiser.cjs. Not by the `depcruise` command: that says each
// time that it wants another TypeScript; the swc that it is told to parse with sees types too (test/project/imports.test.ts).
import { cruise, type ICruiseResult } from 'dependency-cruiser'
import extractDepcruiseOptions from 'dependency-cruiser/config-utl/extract-depcruise-options'

const options = await extractDepcruiseOptions('./.dependency-cruiser.cjs')
const { output } = await cruise(['src'], options)
const { summary } = output as ICruiseResult
for (const { rule, from, to } of summary.violations) console.error(`${rule.severity} ${rule.name}: ${from} → ${to}`)
if (summary.totalCruised === 0) console.error('no file was looked at')
process.exitCode = summary.violations.length > 0 || summary.totalCruised === 0 ? 1 : 0
