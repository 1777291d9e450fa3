// Draws a terminal session as an SVG: `node scripts/picture.ts < session.txt > docs/images/session.svg`. A line that
// begins with `$ ` is a command. The picture has no fonts, scripts or links, so it looks the same wherever it is shown.
import { readFileSync } from 'node:fs'

const lines = readFileSync(0, 'utf8').trimEnd().split('\n')
const charWidth = 8.4
const lineHeight = 20
const width = Math.ceil(Math.max(...lines.map((line) => line.length)) * charWidth) + 40
const height = lines.length * lineHeight + 62

const escapeXml = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
const span = (colour: string, text: string) => `<tspan fill="${colour}">${escapeXml(text)}</tspan>`

function draw(line: string): string {
  if (line.startsWith('$ ')) return span('#7ee787', '$ ') + span('#f0f6fc', line.slice(2))
  const mark = /^(\s*)([✓!])(.*)$/.exec(line)
  if (mark)
    return escapeXml(mark[1]) + span(mark[2] === '✓' ? '#3fb950' : '#d29922', mark[2]) + span('#c9d1d9', mark[3])
  return span('#9da7b3', line)
}

const text = lines.map((line, i) => `<text x="20" y="${60 + i * lineHeight}" xml:space="preserve">${draw(line)}</text>`)
process.stdout.write(`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="A terminal session with kt">
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<circle cx="22" cy="20" r="6" fill="#ff5f56"/><circle cx="42" cy="20" r="6" fill="#ffbd2e"/><circle cx="62" cy="20" r="6" fill="#27c93f"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14">
${text.join('\n')}
</g>
</svg>
`)
