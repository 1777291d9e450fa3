// A line plot as SVG: both axes logarithmic, one line a series, named at its end. Colours and text follow the reader's
// light or dark scheme, and the colours can be told apart without red and green (after Okabe and Ito).

export interface Series {
  name: string
  /** x and y, both above 0, in the order of x. */
  points: readonly (readonly [number, number])[]
}

interface Plot {
  title: string
  x: string
  y: string
  series: readonly Series[]
}

const WIDTH = 760
const HEIGHT = 420
const LEFT = 76
const RIGHT = 132
const TOP = 44
const BOTTOM = 52
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#b58900', '#56b4e9', '#7f7f7f']

const safe = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
const tick = (value: number) =>
  value >= 1e6 ? `${value / 1e6} M` : value >= 1e3 ? `${value / 1e3} k` : String(Number(value.toPrecision(3)))

/** Powers of ten, or 1, 2 and 5 of each where the range is short. */
function ticks(low: number, high: number): number[] {
  const steps = Math.log10(high / low) > 2.2 ? [1] : [1, 2, 5]
  const all: number[] = []
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const step of steps) all.push(step * 10 ** power)
  return all.filter((value) => value >= low * 0.999 && value <= high * 1.001)
}

/** Draws it; returns the text of the file. */
export function plot({ title, x, y, series }: Plot): string {
  const points = series.flatMap((one) => one.points)
  const xs = points.map(([value]) => value)
  const ys = points.map(([, value]) => value)
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)]
  const [y0, y1] = [Math.min(...ys) / 1.25, Math.max(...ys) * 1.25]
  const share = (value: number, low: number, high: number) => Math.log(value / low) / Math.log(high / low)
  const px = (value: number) => LEFT + share(value, x0, x1) * (WIDTH - LEFT - RIGHT)
  const py = (value: number) => HEIGHT - BOTTOM - share(value, y0, y1) * (HEIGHT - TOP - BOTTOM)
  const n = (value: number) => value.toFixed(1)
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${safe(title)}">`,
    '<style>',
    'text { font: 13px system-ui, sans-serif; fill: #24292f } .grid { stroke: #8886; stroke-width: 1 }',
    'polyline { fill: none; stroke-width: 2.2 } .title { font-weight: 600 }',
    '@media (prefers-color-scheme: dark) { text { fill: #d0d7de } }',
    '</style>',
    `<text class="title" x="${LEFT}" y="24">${safe(title)}</text>`,
  ]
  for (const value of ticks(x0, x1)) {
    out.push(`<line class="grid" x1="${n(px(value))}" x2="${n(px(value))}" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/>`)
    out.push(`<text x="${n(px(value))}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${tick(value)}</text>`)
  }
  for (const value of ticks(y0, y1)) {
    out.push(`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${n(py(value))}" y2="${n(py(value))}"/>`)
    out.push(`<text x="${LEFT - 8}" y="${n(py(value) + 4)}" text-anchor="end">${tick(value)}</text>`)
  }
  out.push(`<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 12}" text-anchor="middle">${safe(x)}</text>`)
  const middle = (TOP + HEIGHT - BOTTOM) / 2
  out.push(`<text transform="translate(18 ${middle}) rotate(-90)" text-anchor="middle">${safe(y)}</text>`)
  // Names at the ends of the lines, pushed apart so that none covers another.
  const ends = series
    .map((one, i) => ({ name: one.name, colour: COLOURS[i % COLOURS.length], at: py(one.points.at(-1)![1]) }))
    .sort((a, b) => a.at - b.at)
  for (let i = 1; i < ends.length; i++) ends[i].at = Math.max(ends[i].at, ends[i - 1].at + 16)
  series.forEach(({ points: line }, i) => {
    const colour = COLOURS[i % COLOURS.length]
    out.push(`<polyline stroke="${colour}" points="${line.map(([a, b]) => `${n(px(a))},${n(py(b))}`).join(' ')}"/>`)
    for (const [a, b] of line) out.push(`<circle cx="${n(px(a))}" cy="${n(py(b))}" r="3" fill="${colour}"/>`)
  })
  for (const { name, colour, at } of ends) {
    out.push(`<rect x="${WIDTH - RIGHT + 10}" y="${n(at - 5)}" width="10" height="10" fill="${colour}"/>`)
    out.push(`<text x="${WIDTH - RIGHT + 26}" y="${n(at + 4)}">${safe(name)}</text>`)
  }
  return `${out.join('\n')}\n</svg>\n`
}
