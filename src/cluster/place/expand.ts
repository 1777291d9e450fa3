// `$(NAME)` in values, as the kubelet expands it: `$$` is a dollar sign, and a name that is not known stays as it is. Pure.

/** `lookup` returns undefined for a name that is not known. */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  return text.replace(/\$(?:\$|\(([^)]*)\))/gs, (whole, name: string | undefined) =>
    name === undefined ? '$' : (lookup(name) ?? whole),
  )
}

/** The names that `text` refers to. */
export function references(text: string): string[] {
  const names: string[] = []
  expand(text, (name) => {
    names.push(name)
    return undefined
  })
  return names
}
