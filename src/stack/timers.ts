// Deadlines as data: a binary heap that knows each item's place, with one entry for each item at most. A deadline that
// moves later costs nothing, since its entry finds on expiry that it came too early and sinks; so an ACK leaves it alone.

/** Something with one deadline. The heap owns `timerTime` and `timerIndex`, which starts as -1. */
export interface Timed {
  /** When `onDeadline` is wanted; Infinity for never. */
  deadline: number
  /** The time of its entry: never later than `deadline`. */
  timerTime: number
  timerIndex: number
  onDeadline(now: number): void
}

export class Timers {
  private heap: Timed[] = []

  /** May be earlier than any deadline there is, never later. */
  next(): number {
    return this.heap.length === 0 ? Number.POSITIVE_INFINITY : this.heap[0].timerTime
  }

  get size(): number {
    return this.heap.length
  }

  /** To be called when `item.deadline` may have moved earlier; otherwise harmless. */
  schedule(item: Timed): void {
    if (item.timerIndex < 0) {
      if (item.deadline === Number.POSITIVE_INFINITY) return
      item.timerTime = item.deadline
      this.heap.push(item)
      this.rise(item, this.heap.length - 1)
    } else if (item.deadline < item.timerTime) {
      item.timerTime = item.deadline
      this.rise(item, item.timerIndex)
    }
  }

  remove(item: Timed): void {
    const at = item.timerIndex
    if (at < 0) return
    item.timerIndex = -1
    const last = this.heap.pop() as Timed
    if (last === item) return
    if (at > 0 && this.heap[(at - 1) >> 1].timerTime > last.timerTime) this.rise(last, at)
    else this.sink(last, at)
  }

  /** Calls everyone whose deadline has come. */
  expire(now: number): void {
    while (this.heap.length > 0 && this.heap[0].timerTime <= now) {
      const item = this.heap[0]
      if (item.deadline <= now) {
        item.onDeadline(now)
        if (item.timerIndex < 0) continue // gone
        // An item that stays due would make this loop endless. The next call handles it.
        if (item.deadline <= now) item.deadline = now + 1
      }
      if (item.deadline === Number.POSITIVE_INFINITY) {
        this.remove(item)
      } else if (item.deadline > item.timerTime) {
        item.timerTime = item.deadline
        this.sink(item, item.timerIndex)
      }
    }
  }

  private rise(item: Timed, at: number): void {
    const heap = this.heap
    const time = item.timerTime
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent]
      if (above.timerTime <= time) break
      heap[at] = above
      above.timerIndex = at
      at = parent
    }
    heap[at] = item
    item.timerIndex = at
  }

  private sink(item: Timed, at: number): void {
    const heap = this.heap
    const time = item.timerTime
    const size = heap.length
    for (;;) {
      let child = 2 * at + 1
      if (child >= size) break
      if (child + 1 < size && heap[child + 1].timerTime < heap[child].timerTime) child++
      const below = heap[child]
      if (below.timerTime >= time) break
      heap[at] = below
      below.timerIndex = at
      at = child
    }
    heap[at] = item
    item.timerIndex = at
  }
}
