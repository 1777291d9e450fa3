// The system that kt runs on: the one place that says so. Another system gets a folder like linux/ and is chosen here.
export { describe, UndoAction } from './linux/actions.ts'
export { revert } from './linux/execute.ts'
export { LinuxMachine as SystemMachine } from './linux/machine.ts'
export { isAlive, Owner, ownerOf, ownerText } from './linux/owner.ts'
