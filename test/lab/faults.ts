// What the API-server double can be told to do wrong. Plain data, sent over the lab's channel; a fresh `noFaults()` is a
// healthy cluster.

export interface Faults {
  /** Answers every request with 401, as for an expired token. */
  unauthorized: boolean
  /** `VERB RESOURCE` that are answered with 403, for everybody: `create jobs`, `list nodes`, `create services`. */
  forbid: string[]
  /** Milliseconds before any request is answered. */
  delayMs: number
  /** Image pulls fail with this message, whatever the image. Images the "node" does not have always fail. */
  imagePull: string | undefined
  /** Pods stay unscheduled, with this message. A node selector that fits no node does so by itself. */
  unschedulable: string | undefined
  /** The Job is taken, but its pod is refused with this message (quota): an event on the Job says so. */
  refusePods: string | undefined
  /** Creating a Job is refused at once with this message (admission webhook, Pod Security in warn-and-deny). */
  refuseJobs: string | undefined
  /** The ServiceCIDR API is not there (Kubernetes before 1.33). */
  noServiceCidrs: boolean
  /** The shadow's container ends at once with this exit code. */
  crash: number | undefined
  /** Port-forwards are refused with HTTP 500. */
  refuseForward: boolean
  /** Each port-forward ends after so many bytes towards the laptop. */
  cutForwardAfter: number | undefined
  /** Port-forwards stay open and pass nothing. */
  stallForward: boolean
}

export const noFaults = (): Faults => ({
  unauthorized: false,
  forbid: [],
  delayMs: 0,
  imagePull: undefined,
  unschedulable: undefined,
  refusePods: undefined,
  refuseJobs: undefined,
  noServiceCidrs: false,
  crash: undefined,
  refuseForward: false,
  cutForwardAfter: undefined,
  stallForward: false,
})
