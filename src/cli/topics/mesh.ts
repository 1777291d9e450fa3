export const mesh = `Requests of one version come to this machine

An exchange takes all requests of a Service; a mesh takes those of one version,
so that several people can work on one Service while others see it as it was.

  kt mesh web --expose 8080:80 --version-mark ann
      requests to web with the header "kt-version: ann" come to localhost:8080
  curl -H 'kt-version: ann' http://web.shop/
      such a request, from inside the cluster or while connected

Without --version-mark the version is five random letters. "KEY:VALUE" takes
another header, "VALUE*" every value that begins so.

Each request is routed on its own: HTTP/1.1 with its upgrades, HTTP/2 and gRPC.
What is not HTTP goes to the original pods. A program passes the header on to
what it calls itself, or the version ends there.

  --mode manual  changes no Service: a pod with the labels of the target and one
                 more, "version", for rules of Istio, which are printed

The last person who leaves puts the Service back. A version whose holder died
goes to the original pods; \`kt clean\` removes what is left of it.
`
