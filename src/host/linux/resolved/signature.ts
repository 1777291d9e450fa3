// D-Bus signatures: what types a message's body is made of (D-Bus specification 0.43, "Type System").

/** A value in the shape its signature says: arrays and structs are JavaScript arrays, `ay` a Uint8Array. */
export type Value = number | boolean | string | Uint8Array | readonly Value[]

/** The single complete types a signature is made of. Throws RangeError. */
export function splitSignature(signature: string): string[] {
  const types: string[] = []
  for (let at = 0; at < signature.length; ) {
    const end = typeEnd(signature, at)
    types.push(signature.slice(at, end))
    at = end
  }
  return types
}

function typeEnd(signature: string, at: number): number {
  if (signature[at] === 'a') return typeEnd(signature, at + 1)
  if (signature[at] === '(') {
    let next = at + 1
    while (signature[next] !== ')') next = typeEnd(signature, next)
    return next + 1
  }
  if (!'ybiusogv'.includes(signature[at] ?? '?'))
    throw new RangeError(`not a signature this client knows: ${signature}`)
  return at + 1
}

/** Where a value of this type begins: a multiple of so many bytes. */
export function alignment(type: string): number {
  if (type[0] === 'y' || type[0] === 'g' || type[0] === 'v') return 1
  return type[0] === '(' ? 8 : 4
}
