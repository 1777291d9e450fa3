// What a release is checked for before anything is made: its number and its entry in the change log. Pure.

/** A reason why this cannot be released now, and what to do. */
export class ReleaseError extends Error {
  readonly hint: string

  constructor(message: string, hint: string) {
    super(message)
    this.hint = hint
  }
}

const NUMBER = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?$/

/** Throws ReleaseError unless `wanted` is a version (https://semver.org) that may follow `current`, or is it. */
export function checkVersion(wanted: string, current: string): void {
  const next = NUMBER.exec(wanted)
  if (!next) throw new ReleaseError(`${JSON.stringify(wanted)} is no version`, 'name one as 1.2.3 or 1.2.3-rc.1')
  const before = NUMBER.exec(current)
  if (!before || wanted === current) return
  const isLess = compare(numbers(next), numbers(before)) < 0
  if (isLess) throw new ReleaseError(`${wanted} comes before ${current}, which package.json has`, 'name a later one')
}

const numbers = ([, major, minor, patch, pre]: RegExpExecArray) => [
  ...[major, minor, patch].map(Number),
  pre === undefined ? 1 : 0, // 1.0.0-rc.1 comes before 1.0.0
]

function compare(a: number[], b: number[]): number {
  const at = a.findIndex((value, index) => value !== b[index])
  return at < 0 ? 0 : a[at] - b[at]
}

/** The text of a version's section. Throws ReleaseError where there is none, or nothing in it. */
export function changesOf(version: string, changelog: string): string {
  const lines = changelog.split('\n')
  const start = lines.findIndex((line) => new RegExp(`^## ${version.replaceAll('.', '\\.')}(\\s|$)`).test(line))
  const hint = `write what has changed below a line \`## ${version}\` in CHANGELOG.md, and commit it`
  if (start < 0) throw new ReleaseError(`CHANGELOG.md says nothing of ${version}`, hint)
  const rest = lines.slice(start + 1)
  const end = rest.findIndex((line) => line.startsWith('## '))
  const text = rest
    .slice(0, end < 0 ? undefined : end)
    .join('\n')
    .trim()
  if (!text) throw new ReleaseError(`the section ${version} of CHANGELOG.md is empty`, hint)
  return text
}

/** The manifest's text with another version, and nothing else changed. `lock`: package-lock.json, which says it twice. */
export function withVersion(text: string, version: string, lock: boolean): string {
  let left = lock ? 2 : 1
  return text.replace(/("version": )"[^"]*"/g, (all, key: string) => (left-- > 0 ? `${key}"${version}"` : all))
}

/** Names of files whose checksum differs, or that only one of the two has. */
export function differences(first: string, second: string): string[] {
  const [a, b] = [first, second].map(
    (text) =>
      new Map(
        text
          .trim()
          .split('\n')
          .map((line) => splitLine(line)),
      ),
  )
  return [...new Set([...a.keys(), ...b.keys()])].filter((name) => a.get(name) !== b.get(name)).sort()
}

function splitLine(line: string): [name: string, sum: string] {
  const [sum, name] = line.split(/ [ *]/)
  return [name, sum]
}
