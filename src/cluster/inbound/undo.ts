// What a beginning has made so far is undone when it fails.

type Undo = (() => Promise<unknown>)[]

/** `undo` is filled by `begin` with what undoes its steps, in the order in which that is to be done. */
export async function undoing<T>(begin: (undo: Undo) => Promise<T>): Promise<T> {
  const undo: Undo = []
  try {
    return await begin(undo)
  } catch (error) {
    // What failed first is what the user hears of; what cannot be undone now is found by kt clean.
    for (const step of undo) await step().catch(() => {})
    throw error
  }
}
