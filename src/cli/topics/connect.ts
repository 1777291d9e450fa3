export const connect = `Connecting

\`kt up\` brings the cluster's network to this machine; \`kt down\` takes it
back. Without sudo, \`kt up\` asks sudo for the small part that needs root.

What happens, step by step (each is shown as it ends):

  cluster  reads your kubeconfig as kubectl does and asks the API server
  ranges   finds out which addresses are pods' and services'
  shadow   starts one small pod in the namespace (-n, config, or context)
  tunnel   opens a port-forward to it, and SSH through that
  machine  makes a network device with routes for these ranges
  names    sends the cluster's names to the cluster's DNS
  programs looks up a name and connects, as any program of yours would

After that every program reaches pods and services by address and by name.

Good to know:
  kt check              is this machine, and this cluster, ready?
  kt up --include CIDR  capture one range more; --exclude CIDR leaves one alone
  kt up --foreground    stay in the terminal until Ctrl-C
  kt status             what is connected, since when, whether it works
  kt down               puts everything back, also what a killed kt left (sudo)

When the way to the cluster breaks, open connections pause and new ones wait.
kt finds another way by itself, with a new shadow if the old one is gone.
`
