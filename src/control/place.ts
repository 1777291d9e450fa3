// What the holder tells the command line of a container's place.

export interface PlaceVariable {
  name: string
  value: string
}

/** What the container has and kt could not find out, with why. */
export interface PlaceMissing {
  name: string
  why: string
}

export interface PlaceEnvironment {
  /** Where it is from: `pod orders-5d9c`, or `the template of orders`. */
  pod: string | null
  namespace: string
  container: string
  containers: string[]
  variables: PlaceVariable[]
  missing: PlaceMissing[]
}

/** What was written of a container's files. */
export interface PlaceFiles {
  pod: string | null
  namespace: string
  container: string
  containers: string[]
  folder: string
  missing: PlaceMissing[]
}

/** What a program that runs in a container's place gets. */
export interface ProgramPlace extends PlaceEnvironment {
  /** Below it the container's files have their paths; null where none were wanted. */
  root: string | null
}
