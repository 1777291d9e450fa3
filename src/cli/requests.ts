// What `--log` prints of the requests that come to this machine: a line each, for people or for programs.
import { visible, visibleJson, visibleLines } from '../base/visible.ts'
import type { RequestReport, SeenBody } from '../control/views.ts'
import { dim, formatBytes, green, red, yellow } from './output.ts'

export type RequestFormat = 'text' | 'json'

/** Names of gRPC's status codes (grpc/doc/statuscodes.md), by number. */
const GRPC = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
]

export function requestPrinter(format: RequestFormat, out: NodeJS.WriteStream): (request: RequestReport) => void {
  return (request) => {
    const lines =
      format === 'json'
        ? [visibleJson(request)]
        : [
            requestLine(request, out),
            ...bodyLines('>', request.requestBody, request.bytesIn, out),
            ...bodyLines('<', request.responseBody, request.bytesOut, out),
          ]
    out.write(lines.map((line) => `${line}\n`).join(''))
  }
}

/** What was sent behind `>`, the answer behind `<`. */
function bodyLines(side: '>' | '<', body: SeenBody | undefined, bytes: number, out: NodeJS.WriteStream): string[] {
  if (!body) return []
  const before = `    ${dim(out, side)} `
  if (body.text === null) return [`${before}${dim(out, `(not shown: ${visible(body.why ?? '')})`)}`]
  const text = visibleLines(body.text.replaceAll('\r\n', '\n'))
  const lines = text.replace(/\n$/, '').split('\n')
  if (body.cut) lines.push(dim(out, `(cut: the whole has ${formatBytes(bytes)})`))
  return lines.map((line) => `${before}${line}`)
}

/** `12:03:04.123  web-1  GET /cart  200  12 ms  1.2 KB` */
export function requestLine(request: RequestReport, out: NodeJS.WriteStream): string {
  const { at, pod, caller, method, path, ms, bytesIn, bytesOut } = request
  const who = pod ? `${pod.name}.${pod.namespace}` : caller
  const bytes = bytesIn > 0 ? `${formatBytes(bytesOut)} (sent ${formatBytes(bytesIn)})` : formatBytes(bytesOut)
  return [
    dim(out, clockTime(new Date(at))),
    visible(who),
    visible(`${method} ${path}`),
    statusText(request, out),
    `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`,
    bytes,
  ].join('  ')
}

function statusText({ status, grpcStatus, protocol, outcome }: RequestReport, out: NodeJS.WriteStream): string {
  if (status === null) return red(out, outcome === 'cancelled' ? 'cancelled' : 'no answer')
  const grpc = grpcStatus === null ? '' : (GRPC[grpcStatus] ?? `gRPC ${grpcStatus}`)
  const text = protocol === 'gRPC' && grpc !== '' ? (status === 200 ? grpc : `${status} ${grpc}`) : String(status)
  const fate = outcome === 'cut' || outcome === 'cancelled' ? ` ${outcome === 'cut' ? 'cut off' : 'cancelled'}` : ''
  const bad = status >= 500 || (grpcStatus ?? 0) > 0 || fate !== ''
  return (bad ? red : status >= 400 ? yellow : green)(out, text + fate)
}

function clockTime(at: Date): string {
  const two = (number: number, digits = 2) => String(number).padStart(digits, '0')
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${two(at.getMilliseconds(), 3)}`
}
