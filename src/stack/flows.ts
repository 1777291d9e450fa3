// A hash table of flows, chained through the flows themselves: looking up, adding and removing allocate nothing but
// the bucket array when it doubles.
import type { FlowKey } from './key.ts'

export class FlowTable<T extends FlowKey> {
  private buckets: (FlowKey | null)[] = new Array<FlowKey | null>(64).fill(null)
  size = 0

  find(key: FlowKey): T | null {
    let flow = this.buckets[key.hash & (this.buckets.length - 1)]
    while (flow !== null && !flow.equals(key)) flow = flow.next
    return flow as T | null
  }

  add(flow: T): void {
    if (this.size >= this.buckets.length) this.grow()
    const at = flow.hash & (this.buckets.length - 1)
    flow.next = this.buckets[at]
    this.buckets[at] = flow
    this.size++
  }

  /** True if it was there. */
  remove(flow: T): boolean {
    const at = flow.hash & (this.buckets.length - 1)
    let previous: FlowKey | null = null
    let here = this.buckets[at]
    while (here !== null && here !== flow) {
      previous = here
      here = here.next
    }
    if (here === null) return false
    if (previous === null) this.buckets[at] = flow.next
    else previous.next = flow.next
    flow.next = null
    this.size--
    return true
  }

  /** A list that stays as it is while flows come and go. */
  list(): T[] {
    const all: T[] = []
    for (const first of this.buckets) for (let flow = first; flow !== null; flow = flow.next) all.push(flow as T)
    return all
  }

  private grow(): void {
    const all = this.list()
    this.buckets = new Array<FlowKey | null>(this.buckets.length * 2).fill(null)
    const mask = this.buckets.length - 1
    for (const flow of all) {
      const at = flow.hash & mask
      flow.next = this.buckets[at]
      this.buckets[at] = flow
    }
  }
}
