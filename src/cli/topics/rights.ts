export const rights = `Rights

In the cluster kt acts as the user of your kubeconfig. Rights in one namespace
are enough, those of the ClusterRole \`edit\` for example. Exactly, for \`kt up\`:

  jobs.batch        create, get, patch, delete
  secrets           create
  pods              get, list, watch
  pods/portforward  get, create

Better, and not needed: list events (why a pod does not start), get pods/log,
list servicecidrs.networking.k8s.io and nodes in the cluster (exact address
ranges instead of guessed ones). docs/operate/rights.md has them as manifests.

\`kt check\` asks the API server for each of them and says what is missing.

On this machine root is needed for the network device, its routes and the
resolver only. A helper does these, takes nothing but declarative requests, and
undoes them when kt ends. All the rest runs as you.
`
