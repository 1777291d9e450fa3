export const dns = `Names

While connected, names work as they do in a pod of the namespace:

  web                         the Service web of the namespace
  web.shop                    that of the namespace shop
  web.shop.svc.cluster.local  in full; also web.shop.svc
  db-0.db.shop                one pod of a headless Service
  SRV, PTR and AAAA records   as well

All other names go to the resolvers you had before. A name of two labels whose
second is a namespace (web.shop) is asked of the cluster first, although it may
be a public name as well.

How programs come to ask kt (--dns):
  auto        what fits this machine: one of the next two
  resolved    systemd-resolved sends the cluster's names to kt
  resolvconf  /etc/resolv.conf names kt while connected, and is put back after
  none        nothing is changed; ask kt's server yourself (\`kt dns status\`)

Looking into it:
  kt dns status      who answers what, and how often it did
  kt dns query NAME  one answer, and who was asked for it

Programs that bring their own resolver (a browser with DNS over HTTPS, a VPN
client) do not ask this machine; switch that off for the cluster's names.
`
