// Waits for something to become true, with a deadline instead of a sleep.

/**
 * Calls `attempt` until it returns something other than undefined or false, and returns that. Errors count as "not yet";
 * the last one is told when the deadline passes.
 */
export async function until<T>(
  what: string,
  attempt: () => T | Promise<T>,
  deadlineMs = 10_000,
): Promise<Exclude<T, undefined | false>> {
  const end = performance.now() + deadlineMs
  let last: unknown
  for (;;) {
    try {
      const value = await attempt()
      if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>
      last = value
    } catch (error) {
      last = error
    }
    if (performance.now() > end)
      throw new Error(`${what}: not within ${deadlineMs} ms${last instanceof Error ? ` (${last.message})` : ''}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}
