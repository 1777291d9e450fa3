// Numbers and times as people read them.

const units = ['B', 'kB', 'MB', 'GB', 'TB']

/** `0 B`, `12.3 MB`: three digits and a unit. */
export function bytes(value: number): string {
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

export function rate(value: number | null): string {
  return value === null ? '–' : `${bytes(value)}/s`
}

export function milliseconds(value: number | null): string {
  if (value === null) return '–'
  return value > 0 && value < 10
    ? `${value.toFixed(1)} ms`
    : value < 10_000
      ? `${Math.round(value)} ms`
      : `${Math.round(value / 1000)} s`
}

/** `12 s`, `5 min`, `3 h 10 min`, `2 d 4 h`. */
export function age(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000))
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min`
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`
}

/** Time of day, `14:03:59`: as logs have it, whatever the browser's language. */
export function clock(at: string | number): string {
  return new Date(at).toTimeString().slice(0, 8)
}

/** Time of day; with the date when it was another day. */
export function time(at: string | number): string {
  const date = new Date(at)
  return date.toDateString() === new Date().toDateString() ? clock(at) : `${date.toLocaleDateString()} ${clock(at)}`
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`
}
