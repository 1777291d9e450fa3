// A curve over the last minutes, drawn by uPlot on a canvas; in words for those who do not see it.
import type { JSX } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import type { Sample } from '../../control/views.ts'
import { clock } from './format.ts'
import { THEME_CHANGED } from './theme.tsx'

const HEIGHT = 110
/** Seconds shown at least, so that the first minute does not look like all there is. */
const SPAN_S = 120

export interface Curve {
  label: string
  /** Class of a colour in the style sheet. */
  colour: 'accent' | 'second'
  value(sample: Sample): number | null
}

interface ChartProps {
  samples: Sample[]
  curves: Curve[]
  /** What the chart shows now, in a sentence. */
  summary: string
  format(value: number): string
  /** The scale reaches at least this high. */
  least: number
}

export function Chart({ samples, curves, summary, format, least }: ChartProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)
  const data = useRef<uPlot.AlignedData>([[]])
  data.current = [
    samples.map(({ at }) => at / 1000),
    ...curves.map(({ value }) => samples.map(value)),
  ] as uPlot.AlignedData

  // Curves and format are the same for a chart's whole life.
  useEffect(() => {
    const element = box.current!
    const draw = () => {
      plot.current?.destroy()
      plot.current = new uPlot(optionsOf(element, curves, format, least), data.current, element)
    }
    draw()
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }))
    observer.observe(element)
    document.addEventListener(THEME_CHANGED, draw)
    return () => {
      observer.disconnect()
      document.removeEventListener(THEME_CHANGED, draw)
      plot.current?.destroy()
    }
  }, [])
  // The data are what has changed.
  useEffect(() => plot.current?.setData(data.current), [samples])
  return <div class="chart" ref={box} role="img" aria-label={summary} />
}

function optionsOf(
  element: HTMLElement,
  curves: Curve[],
  format: (value: number) => string,
  least: number,
): uPlot.Options {
  const colour = colours(element)
  const axis: uPlot.Axis = {
    stroke: colour('muted'),
    grid: { stroke: colour('line'), width: 1 },
    ticks: { show: false },
    font: '12px system-ui, sans-serif',
  }
  return {
    width: element.clientWidth,
    height: HEIGHT,
    padding: [8, 28, 0, 0],
    legend: { show: false },
    cursor: { points: { size: 6 }, drag: { x: false, y: false } },
    scales: {
      x: { range: (_, min, max) => [Math.min(min ?? 0, (max ?? 0) - SPAN_S), max ?? 0] },
      y: { range: (_, __, max) => [0, Math.max(least, (max ?? 0) * 1.1)] },
    },
    axes: [
      {
        ...axis,
        size: 32,
        gap: 9,
        space: 80,
        values: (_, splits) => splits.map((at) => clock(at * 1000)),
      },
      { ...axis, size: 66, space: 34, values: (_, splits) => splits.map(format) },
    ],
    series: [
      {},
      ...curves.map((curve) => ({
        label: curve.label,
        stroke: colour(curve.colour),
        fill: curve.colour === 'accent' ? colour('accent-soft') : undefined,
        width: 1.75,
        points: { show: false },
      })),
    ],
  }
}

/** Colours of the style sheet as a canvas takes them: custom properties resolved for the theme that holds. */
function colours(element: HTMLElement): (name: string) => string {
  const probe = document.createElement('span')
  element.append(probe)
  const found = new Map<string, string>()
  for (const name of ['muted', 'line', 'accent', 'accent-soft', 'second']) {
    probe.style.color = `var(--${name})`
    found.set(name, getComputedStyle(probe).color)
  }
  probe.remove()
  return (name) => found.get(name)!
}
