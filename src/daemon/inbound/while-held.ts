// While an exchange, mesh or run is held: its lease is renewed, and what others do to its Service is told.
import type { Clock } from '../../base/clock.ts'
import type { ClusterClient } from '../../cluster/calls.ts'
import type { InboundEvent, InboundHandle } from '../../cluster/inbound-calls.ts'

// docs/understand/exchange.md: who watches a lease for more than two of these and sees no change may call its holder dead.
const RENEW_MS = 5_000

export interface KeepEffects {
  clock: Clock
  cluster: Pick<ClusterClient, 'renewLease' | 'watchExchange'>
  log(line: string): void
}

/** Renews the lease until the returned function is called. `lost` is called when somebody else has it. */
export function keepLease(effects: KeepEffects, handle: InboundHandle, lost: (error: Error) => void): () => void {
  const { clock, cluster, log } = effects
  let stop: () => void
  const renew = async () => {
    try {
      await cluster.renewLease(handle)
    } catch (error) {
      if ((error as { code?: string }).code === 'taken-over') lost(error as Error)
      else log(`lease: ${(error as Error).message}`)
    }
  }
  const wait = () => {
    stop = clock.after(RENEW_MS, () => {
      wait()
      void renew()
    })
  }
  wait()
  return () => stop()
}

/**
 * Until `closing`. `own`: kt itself is changing the Service, which is no news. `took`: what others did to it last; also when it
 * leads here again.
 */
export function tellOfOthers(
  { cluster, log }: KeepEffects,
  handle: InboundHandle,
  closing: AbortSignal,
  own: () => boolean,
  notice: (line: string) => void,
  took: (event: InboundEvent) => void,
): void {
  const said = (event: InboundEvent) => {
    if (own() && event.type !== 'deleted') return log(event.message)
    notice(event.message)
    took(event)
  }
  cluster.watchExchange(handle, said, closing).catch((error: Error) => {
    if (!closing.aborted) log(`watch: ${error.message}`)
  })
}
