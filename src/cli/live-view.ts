// A view that is drawn once a second, in place: on the terminal's other screen, so that what was there comes back; only
// what is drawn over, never wiped first, so that nothing flickers. Without a terminal it prints one picture after another.
// A library for this (Ink with React) would take kt's start from a tenth of a second to half of one.
import { own, terminalText } from './terminal.ts'

const EVERY_MS = 1000

// ECMA-48, and DEC private modes as xterm has them (https://invisible-island.net/xterm/ctlseqs/ctlseqs.html)
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[2J'
const LEAVE = '\x1b[?25h\x1b[?1049l'
const HOME = '\x1b[H'
const END_OF_LINE = '\x1b[K'
const END_OF_SCREEN = '\x1b[J'
// Mode 2026: the terminal shows what lies between them at once; others ignore it.
const BEGIN_FRAME = '\x1b[?2026h'
const END_FRAME = '\x1b[?2026l'
const CTRL_C = '\x03'

export interface ViewSize {
  columns: number
  /** Infinity where nothing is cut. */
  rows: number
}

/** The standard streams, as much of them as is used, if not others are given. */
export interface ViewOptions {
  /** Between two pictures where there is no terminal. */
  separator?: string
  out?: Pick<NodeJS.WriteStream, 'isTTY' | 'columns' | 'rows' | 'write' | 'on' | 'off'>
  input?: Pick<NodeJS.ReadStream, 'isTTY' | 'setRawMode' | 'resume' | 'pause' | 'on' | 'off'>
}

/**
 * Shows what `picture` makes until q, Ctrl-C, SIGTERM or SIGHUP. `picture` gives lines without line ends, as many as it
 * likes; what does not fit is cut. Rejects with its error, the terminal restored.
 */
export async function liveView(
  picture: (size: ViewSize) => Promise<string[]>,
  { separator = '\n', out = process.stdout, input = process.stdin }: ViewOptions = {},
): Promise<void> {
  let leave = () => {}
  const left = new Promise<void>((resolve) => {
    leave = resolve
  })
  let over = false
  void left.then(() => (over = true))
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, leave)
  const screen = out.isTTY === true
  const keys = screen && input.isTTY === true
  // A terminal that nobody has given a size says 0.
  const size = (): ViewSize =>
    screen ? { columns: out.columns || 80, rows: out.rows || 24 } : { columns: Infinity, rows: Infinity }
  let shown: string[] = []
  const draw = () => out.write(screen ? frameText(shown, size()) : `${shown.join('\n')}\n${separator}`)
  const onKey = (data: Buffer | string) => {
    const text = data.toString()
    if (text.includes('q') || text.includes(CTRL_C)) leave()
  }
  // The old picture in the new size at once; the next one fits.
  const onResize = () => void draw()
  if (keys) {
    input.setRawMode(true)
    input.on('data', onKey)
    input.resume()
  }
  if (screen) {
    out.write(own(ENTER))
    out.on('resize', onResize)
  }
  try {
    while (!over) {
      shown = await picture(size())
      if (over) break
      draw()
      await Promise.race([left, delay(EVERY_MS, left)])
    }
  } finally {
    for (const signal of signals) process.off(signal, leave)
    if (screen) {
      out.off('resize', onResize)
      out.write(own(LEAVE))
    }
    if (keys) {
      input.off('data', onKey)
      input.setRawMode(false)
      input.pause()
    }
  }
}

/** One picture, drawn over the one before. */
export function frameText(lines: string[], { columns, rows }: ViewSize): string {
  const visible = lines.slice(0, rows)
  const cut = visible.map((line) => clip(terminalText(line), columns) + END_OF_LINE)
  return own(
    `${BEGIN_FRAME}${HOME}${cut.join('\r\n')}${visible.length < rows ? `\r\n${END_OF_SCREEN}` : ''}${END_FRAME}`,
  )
}

/** The first `columns` characters of a line; escape sequences take no room and stay, so that colours end. */
function clip(line: string, columns: number): string {
  let room = columns
  return line.replace(/\x1b\[[\d;?]*[A-Za-z]|./gu, (part) =>
    part.length > 1 && part[0] === '\x1b' ? part : room-- > 0 ? part : '',
  )
}

function delay(ms: number, until: Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    void until.then(() => clearTimeout(timer))
  })
}
