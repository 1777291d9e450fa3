// An input that is a list of steps, such as packets with pauses between them: one octet of kind and two of length stand in front of
// each. Whatever bytes there are can be read as steps, so a mutated list is a list again.

export interface Step {
  kind: number
  body: Buffer
}

const HEAD = 3

export function joinSteps(steps: readonly Step[]): Buffer {
  return Buffer.concat(
    steps.flatMap(({ kind, body }) => [Uint8Array.of(kind, body.length >>> 8, body.length & 255), body]),
  )
}

export function readSteps(input: Buffer): Step[] {
  const steps: Step[] = []
  for (let p = 0; p + HEAD <= input.length; ) {
    const end = Math.min(input.length, p + HEAD + input.readUInt16BE(p + 1))
    steps.push({ kind: input[p], body: input.subarray(p + HEAD, end) })
    p = end
  }
  return steps
}
