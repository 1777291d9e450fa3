// Tries an area: first every input of its corpus, then new ones until the time is over. Each input has a seed of its own, made of the
// run's seed and its number, so that it can be made again without those before it.
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Area } from './area.ts'
import { Random } from './random.ts'

/** An input that takes longer hangs. */
const HANG_MS = 10_000
/** After so many findings there is enough to look at. */
const ENOUGH = 10
/** Memory is looked at, and the process lets timers run, once in so many inputs or so many ms. */
const REST_EVERY = 256
const REST_MS = 20

export interface Report {
  inputs: number
  /** In words, one for each input that found something. */
  findings: string[]
  longestMs: number
  longestInput: string
  mostMemory: number
}

export interface Run {
  name: string
  area: Area
  seed: number
  seconds: number
  /** Folder of the corpus; findings are written there. */
  corpus: string
}

export async function fuzz({ name, area, seed, seconds, corpus }: Run): Promise<Report> {
  const report: Report = { inputs: 0, findings: [], longestMs: 0, longestInput: '', mostMemory: 0 }
  const folder = join(corpus, name)
  const known = corpusOf(folder)
  let current = 'the start'
  let bytes = Buffer.alloc(0)
  const found = (error: unknown) => {
    const words = error instanceof Error ? (error.stack ?? error.message) : String(error)
    if (report.findings.length < ENOUGH) report.findings.push(`${current}: ${words}`)
    if (known.some((one) => one.bytes.equals(bytes))) return
    mkdirSync(folder, { recursive: true })
    const id = createHash('sha256').update(bytes).digest('hex').slice(0, 12)
    writeFileSync(join(folder, `${id}.hex`), `${bytes.toString('hex').replace(/(.{120})/g, '$1\n')}\n`)
  }
  // What reaches nobody ends a process in life, so it is a finding here.
  process.on('uncaughtException', found)
  const subject = await area.start()
  const attempt = async (what: string, input: Buffer, random: Random) => {
    current = what
    bytes = Buffer.from(input)
    const started = performance.now()
    const used = process.cpuUsage()
    try {
      const pending = subject.attempt(input, random)
      if (pending) await within(pending)
    } catch (error) {
      found(error)
    }
    report.inputs++
    const took = performance.now() - started
    // Of the processor's time, since the machine may be busy with others.
    const { user, system } = process.cpuUsage(used)
    if ((user + system) / 1000 > HANG_MS) found(new Error(`it took ${Math.round(took)} ms`))
    if (took > report.longestMs) {
      report.longestMs = took
      report.longestInput = what
    }
  }
  for (const { file, bytes } of known) await attempt(`corpus ${file}`, bytes, new Random(0))
  const end = performance.now() + seconds * 1000
  let rested = 0
  for (let i = 0; performance.now() < end && report.findings.length < ENOUGH; i++) {
    const own = (seed + Math.imul(i, 0x9e3779b1)) >>> 0
    await attempt(`input ${i} of seed ${seed}`, inputOf(area, known, new Random(own)), new Random(own ^ 0x5bd1e995))
    if (i % REST_EVERY !== 0 && performance.now() - rested < REST_MS) continue
    report.mostMemory = Math.max(report.mostMemory, process.memoryUsage().rss)
    await new Promise((resolve) => setImmediate(resolve))
    rested = performance.now()
  }
  current = 'the end'
  try {
    await subject.stop?.()
  } catch (error) {
    found(error)
  }
  await new Promise((resolve) => setTimeout(resolve, 50))
  process.off('uncaughtException', found)
  return report
}

function inputOf(area: Area, known: readonly Known[], random: Random): Buffer {
  if (known.length > 0 && random.chance(10)) return random.mutate(random.pick(known).bytes)
  const made = area.make(random)
  return random.chance(40) ? random.mutate(made) : made
}

interface Known {
  file: string
  bytes: Buffer
}

function corpusOf(folder: string): Known[] {
  let files: string[] = []
  try {
    files = readdirSync(folder).sort()
  } catch {
    // Nothing was found in this area yet.
  }
  return files.map((file) => ({
    file,
    bytes: Buffer.from(readFileSync(join(folder, file), 'utf8').replace(/\s/g, ''), 'hex'),
  }))
}

async function within(pending: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('it hangs')), HANG_MS)
  })
  try {
    await Promise.race([pending, late])
  } finally {
    clearTimeout(timer)
  }
}
