// The states of one exchange, mesh or run as its holder sees them: what each event leads to, and what is to be done then. Pure; the
// runner (exchange.ts) does it. docs/understand/exchange.md says what is in the cluster in each state; its states `leased`, `prepared` and
// `starting` are one here, since the cluster client begins with one call.

export type StateName =
  | 'free'
  | 'starting'
  | 'ready'
  | 'held'
  | 'away'
  | 'aside'
  | 'returning'
  | 'ending'
  | 'restoring'
  | 'restored'
  | 'removing'
  | 'left'

export type EventName =
  /** It shall begin. */
  | 'start'
  /** The lease and the shadow are there, so there is something to put back. */
  | 'begun'
  /** The first shadow's ports are claimed. */
  | 'claimed'
  /** The Service leads here for the first time. */
  | 'switched'
  /** One of the steps until then did not succeed. */
  | 'failed'
  /** No shadow is connected and claimed any more. */
  | 'lost'
  /** No shadow runs any more; another one is about to be made. */
  | 'noShadow'
  /** The ports of a shadow are claimed, perhaps again. */
  | 'serving'
  /** The Service leads here again. */
  | 'ledHere'
  | 'leadFailed'
  /** It is time for another attempt to lead the Service here. */
  | 'again'
  /** Somebody else has the lease. */
  | 'takenOver'
  /** It shall end. */
  | 'end'
  /** What was under way when the end came is done or given up. */
  | 'settled'
  | 'putBack'
  /** The Service could not be put back: `kt recover` has to do it. */
  | 'notPutBack'
  /** No connection is open any more, or those that are were waited for long enough. */
  | 'quiet'
  | 'disconnected'
  /** What kt made is removed, as far as that was possible. */
  | 'removed'

export type Effect =
  | 'begin'
  | 'switch'
  /** Tells the caller of `start` that it holds, and begins to watch the Service. */
  | 'announce'
  /** Tells the caller of `start` that it does not hold. */
  | 'reject'
  | 'sayAway'
  | 'sayBack'
  /** Leads the Service to its own pods for as long as there is no shadow. */
  | 'stepAside'
  | 'leadHere'
  | 'leadHereLater'
  /** Tells the holder that this one cannot go on; `end` follows. */
  | 'fail'
  /** Stops what is under way, and waits for it. */
  | 'settle'
  | 'restore'
  | 'linger'
  /** Tells the shadows that nothing leads to them, so that they end at once. */
  | 'release'
  | 'disconnect'
  | 'remove'
  | 'finish'

/** What was learned on the way to a state. */
export interface Facts {
  /** This kind leads the Service to its own pods while there is no shadow. */
  stepsAside: boolean
  begun: boolean
  /** The Service may have led here. */
  switched: boolean
  serving: boolean
  shadowless: boolean
  takenOver: boolean
}

export interface State extends Facts {
  name: StateName
}

type Row = readonly [StateName, ...Effect[]]

const learned: Partial<Record<EventName, Partial<Facts>>> = {
  begun: { begun: true },
  claimed: { serving: true, switched: true },
  lost: { serving: false },
  noShadow: { serving: false, shadowless: true },
  serving: { serving: true, shadowless: false },
  takenOver: { takenOver: true },
}

const stays = (name: StateName, ...events: EventName[]): Partial<Record<EventName, Row>> =>
  Object.fromEntries(events.map((event) => [event, [name]]))

/** Where it stands after the Service was led here, with what is to be said then. */
function whenLed({ serving, shadowless, stepsAside }: Facts, ...effects: Effect[]): Row {
  if (serving) return ['held', ...effects]
  return shadowless && stepsAside ? ['aside', 'stepAside'] : ['away']
}

/** The end of a state in which the Service may lead here. */
const ENDS: Partial<Record<EventName, Row | ((facts: Facts) => Row)>> = { end: ['ending', 'settle'] }

/** What is not in the row of a state leaves it as it is. */
const table: Record<StateName, Partial<Record<EventName, Row | ((facts: Facts) => Row)>>> = {
  free: {
    start: ['starting', 'begin'],
    end: ['ending', 'settle'],
    disconnected: ['free', 'finish'],
  },
  starting: {
    begun: ['starting'],
    claimed: ['ready', 'switch'],
    failed: ['starting', 'reject'],
    takenOver: ['starting', 'fail'],
    end: ['ending', 'reject', 'settle'],
  },
  ready: {
    ...stays('ready', 'lost', 'noShadow', 'serving'),
    switched: (facts) => {
      const [name, ...effects] = whenLed(facts)
      return name === 'held' ? ['held', 'announce'] : [name, 'announce', 'sayAway', ...effects]
    },
    failed: ['ready', 'reject'],
    takenOver: ['ready', 'fail'],
    end: ['ending', 'reject', 'settle'],
  },
  held: {
    serving: ['held'],
    lost: ['away', 'sayAway'],
    noShadow: ({ stepsAside }) => (stepsAside ? ['aside', 'sayAway', 'stepAside'] : ['away', 'sayAway']),
    takenOver: ['held', 'fail'],
    ...ENDS,
  },
  away: {
    serving: ['held', 'sayBack'],
    noShadow: ({ stepsAside }) => (stepsAside ? ['aside', 'stepAside'] : ['away']),
    takenOver: ['away', 'fail'],
    ...ENDS,
  },
  aside: {
    serving: ['returning', 'leadHere'],
    takenOver: ['aside', 'fail'],
    ...ENDS,
  },
  returning: {
    ...stays('returning', 'lost', 'noShadow', 'serving'),
    ledHere: (facts) => whenLed(facts, 'sayBack'),
    leadFailed: ({ serving }) => (serving ? ['returning', 'leadHereLater'] : ['aside']),
    again: ({ serving }) => (serving ? ['returning', 'leadHere'] : ['aside']),
    takenOver: ['returning', 'fail'],
    ...ENDS,
  },
  ending: {
    begun: ['ending'],
    settled: ({ begun, takenOver, switched }) => {
      if (!begun) return ['free', 'release', 'disconnect']
      if (!takenOver) return ['restoring', 'restore']
      return switched ? ['restored', 'linger'] : ['removing', 'release', 'disconnect']
    },
  },
  restoring: {
    putBack: ({ switched }) => (switched ? ['restored', 'linger'] : ['removing', 'release', 'disconnect']),
    // The shadows stay, and pass requests on to the original pods.
    notPutBack: ['left', 'disconnect'],
  },
  restored: { quiet: ['removing', 'release', 'disconnect'] },
  removing: { disconnected: ['removing', 'remove'], removed: ['free', 'finish'] },
  left: { disconnected: ['left', 'finish'] },
}

export function initial(stepsAside: boolean): State {
  return {
    name: 'free',
    stepsAside,
    begun: false,
    switched: false,
    serving: false,
    shadowless: false,
    takenOver: false,
  }
}

/** The next state, and what is to be done on the way to it, in that order. */
export function next(state: State, event: EventName): [State, Effect[]] {
  const row = table[state.name][event]
  if (!row || (event === 'takenOver' && state.takenOver)) return [state, []]
  const facts = { ...state, ...learned[event] }
  const [name, ...effects] = typeof row === 'function' ? row(facts) : row
  return [{ ...facts, name }, effects]
}

/** As `kt status` calls it. */
export function publicState(name: StateName): 'starting' | 'active' | 'reconnecting' | 'ending' {
  if (name === 'free' || name === 'starting' || name === 'ready') return 'starting'
  if (name === 'held') return 'active'
  return name === 'away' || name === 'aside' || name === 'returning' ? 'reconnecting' : 'ending'
}
