export const exchange = `Requests of the cluster come to this machine

None of these needs root, and none needs \`kt up\`. Each holds the terminal until
Ctrl-C, then everything is as before.

  kt exchange web --expose 8080:80
      requests to the Service web, port 80, come to localhost:8080
  kt run demo --port 8080
      a new Service demo in the cluster that leads to localhost:8080
  kt forward web 9000:80
      the other way round: localhost:9000 leads to the Service web

While your machine is away, the original pods answer after one second. While
your program restarts, requests wait up to 3 s for it, then the original pods
answer. With --no-fallback or --mode scale they are refused instead.
--mode scale scales the workload itself to 0 meanwhile, for programs that must
run once only.

With a program that kt starts and ends along with it:
  kt exchange web -- npm run dev
      with environment and files of the pods; ports are the container's
  kt exchange web --shell -- npm run dev
      also with the network of kt shell: names and addresses of the cluster

Held in the background, seen and ended:
  kt exchange web --expose 8080:80 --background
  kt status                what is held, besides the connection
  kt leave web             ends it and puts the Service back

When a holder died:
  kt recover web           puts the Service back, whoever left it so
  kt clean --dry-run       what dead clients left, here and in the namespace
  kt clean                 removes it; never that of a live one

Who holds a Service is written in the cluster, and told to a second person.
--force takes it over; the first one is told so, and ends.
`
