// What a system must be able to do for kt: one implementation per system (linux/machine.ts). Everything above it is the same
// on all of them: the order of things (host.ts), the undo journal (journal.ts), and what is put back when (guard.ts).
import type { AppliedState, DesiredState } from './desired.ts'
import type { Fault } from './fault.ts'

/** An action, and how it is undone. The undo is recorded before the action is done. */
export interface Step<Do, Undo> {
  do: Do
  /** None where an earlier step's undo covers it. */
  undo?: Undo
}

export interface Finding<Repair = unknown> {
  fault: Fault
  /** What puts it back. Undefined where kt cannot. */
  repair: Repair | undefined
  /** Of a list of resolvers that another program has written: the resolvers it put there. */
  upstreams?: string[]
  /** Of the same: what a person should know of its lines. */
  notes?: string[]
}

/** What puts a finding back. */
export interface Repairs<Do, Undo> {
  actions: Do[]
  /** A record of the journal to replace, because what has to be restored in the end has changed. */
  amend?: { old: Undo; by: Undo }
}

export interface Machine<Do, Undo, Repair = unknown> {
  /**
   * Reads the machine (facts) and computes the steps from its present state to the desired one. Throws HostError for all
   * that can be refused before anything is changed. Changes nothing.
   */
  plan(desired: DesiredState): Promise<Step<Do, Undo>[]>
  /** The actions that change servers and domains; the mode stays what it was. */
  planDns(dns: DesiredState['dns'], recorded: readonly Undo[]): Do[]
  /** Carries an action out. Throws HostError. */
  perform(action: Do): Promise<void>
  /** What the steps of the last plan, all done, have led to. */
  readonly applied: AppliedState
  /** Which program answers names; undefined before a plan. */
  readonly mode: AppliedState['dnsMode'] | undefined
  /** What is not as the steps made it. Changes nothing. */
  look(): Promise<Finding<Repair>[]>
  /** `recorded`: how what was done is undone. */
  planRepair(repair: Repair, recorded: readonly Undo[]): Repairs<Do, Undo>
}
