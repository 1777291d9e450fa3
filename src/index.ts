// The package's entry: kt as a library. docs/use/library.md shows how; docs/reference/api.md has all of it.
export * from './library/api.ts'
export { connect } from './library/connect.ts'
