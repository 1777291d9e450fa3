export const troubleshooting = `Troubleshooting

Begin with \`kt check\`: one line for each thing kt needs, with what to do. Then
\`kt status\` and \`kt logs\`; KT_LOG=debug kt up writes more into the log.

A name is not found
  kt dns query NAME shows who was asked and what came back. An address but no
  answer in a browser: it may use a resolver of its own (kt help dns).
A name works, the connection hangs
  Is the address in one of the ranges of \`kt status\`? If not: --include CIDR.
  A NetworkPolicy may keep the shadow out: kt check --shadow tries.
Connection refused at once
  The service refused it: no pod is ready, or nothing listens on the port.
"the cluster's range ... meets the route ..."
  Another VPN or your network has that range: --exclude it, or disconnect that.
The shadow does not start
  The error has the cluster's words. Image: --image, --image-pull-secret. Quota:
  --pod-resources. No node: --node-selector, --toleration. Slow:
  --ready-timeout 180.
kt was killed, names do not work any more
  kt down puts the machine back.
The API server is not reached once connected
  It is never captured by kt. Is it behind another VPN that is down?
`
