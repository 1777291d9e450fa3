#!/bin/sh
# prepare.sh [--all] PURPOSE...: sees that the system's programs for these purposes are there (the first column of the
# table below). Root installs what is missing with apt, dnf or apk; others get one command that does. Knows no Node: it
# runs before there is one. With --all, what only a few tests use is installed too; otherwise one list names it.
set -eu

# purpose   program     Debian's package       Fedora's            Alpine's                    what is missed without it
table='
download    npm         npm,ca-certificates    npm                 npm                         -
musl        node        -                      -                   nodejs,nodejs-dev           -
compile     cc          gcc,libc6-dev          gcc,glibc-devel     gcc,musl-dev,linux-headers  -
pack        python3     python3                python3             python3                     -
pack        pip3        python3-pip            python3-pip         py3-pip                     -
pack        readelf     binutils               binutils            binutils                    -
demo        ip          iproute2               iproute             iproute2                    -
demo        mount       mount                  util-linux          mount                       -
demo        nsenter     util-linux             util-linux          util-linux-misc             -
demo        unshare     util-linux             util-linux          util-linux-misc             -
demo        setpriv     util-linux             util-linux          setpriv                     -
test        sudo        sudo                   sudo                sudo                        -
test        sysctl      procps                 procps-ng           procps                      -
test        ping        iputils-ping           iputils             iputils                     -
test        curl        curl                   curl                curl                        -
test        dig         bind9-dnsutils         bind-utils          bind-tools                  -
test        nc          netcat-openbsd         nmap-ncat           netcat-openbsd              -
test        openssl     openssl                openssl             openssl                     -
test        ssh-keygen  openssh-client         openssh-clients     openssh-keygen              -
test        sshd        openssh-server         openssh-server      openssh-server              -
more        zsh         zsh                    zsh                 zsh                         completion in zsh
more        fish        fish                   fish                fish                        completion in fish
more        tshark      tshark                 wireshark-cli       tshark                      captures as Wireshark reads them
more        chromium    chromium               chromium            chromium                    the page of the dashboard
more        psql        postgresql-client      postgresql          postgresql-client           psql through kt
more        iperf3      iperf3                 iperf3              iperf3                      iperf3 through kt
'

all=
purposes=' '
for word in "$@"; do
  case $word in
    --all) all=1 ;;
    demo | bench) purposes="$purposes demo " ;;
    test) purposes="$purposes demo test more " ;;
    *) purposes="$purposes $word " ;;
  esac
done

if command -v apt-get >/dev/null; then manager=apt
elif command -v dnf >/dev/null; then manager=dnf
elif command -v apk >/dev/null; then manager=apk
else manager=
fi

# What is missing: the programs, their packages, and what few tests use apart from these.
programs='' packages='' fewer='' fewer_packages=''
while read -r purpose program debian fedora alpine without; do
  [ -n "$purpose" ] || continue
  case $purposes in *" $purpose "*) ;; *) continue ;; esac
  command -v "$program" >/dev/null && continue
  # Who may install nothing compiles with zig, which comes from PyPI (native/build.ts).
  [ "$program" != cc ] || [ "$(id -u)" = 0 ] || ! python3 -m pip --version >/dev/null 2>&1 || continue
  case $manager in dnf) names=$fedora ;; apk) names=$alpine ;; *) names=$debian ;; esac
  names=$(printf %s "$names" | tr , ' ')
  [ "$names" != - ] || names=$program
  if [ "$purpose" = more ] && [ -z "$all" ]; then
    fewer="$fewer${fewer:+, }$program ($without)"
    fewer_packages="$fewer_packages $names"
    continue
  fi
  programs="$programs $program"
  for name in $names; do
    case "$packages " in *" $name "*) ;; *) packages="$packages $name" ;; esac
  done
done <<EOF
$table
EOF

root=
[ "$(id -u)" = 0 ] && root=1
sudo=
[ -n "$root" ] || ! command -v sudo >/dev/null || sudo='sudo '

command_for() { # the one command that installs $1, as it is to be typed
  case $manager in
    apt) echo "${sudo}apt-get update && ${sudo}apt-get install -y --no-install-recommends$1" ;;
    dnf) echo "${sudo}dnf install -y$1" ;;
    apk) echo "${sudo}apk add$1" ;;
  esac
}

say() { printf 'dev: %s\n' "$@" >&2; }

# Said before anything is downloaded.
case " $* " in
  *' demo '*)
    if [ -z "$root$sudo" ]; then
      say 'the demo makes network namespaces and needs root, and there is no sudo here' 'run it as root: ./dev demo'
      exit 1
    fi
    ;;
esac

if [ -n "$packages" ] && [ -z "$manager" ]; then
  say "these programs are missing:$programs" \
    "install them with this system's package manager (Debian's packages are:$packages), then run the same again"
  exit 1
fi
if [ -n "$packages" ] && [ -z "$root" ]; then
  say "these programs are missing:$programs" \
    "install them$([ -n "$sudo" ] || echo ' as root'), then run the same again:" "  $(command_for "$packages")"
  exit 1
fi
if [ -n "$packages" ]; then
  say "these programs are missing:$programs" "installing them: $(command_for "$packages")"
  log=$(mktemp)
  # Nothing may ask: a question would wait for ever where nobody sits.
  export DEBIAN_FRONTEND=noninteractive
  if ! sh -c "$(command_for "$packages")" </dev/null >"$log" 2>&1; then
    tail -n 15 "$log" | sed 's/^/  | /' >&2
    rm -f "$log"
    say 'the packages could not be installed (the last lines are above)' \
      "when the cause is gone, run the same again, or install them by hand: $(command_for "$packages")"
    exit 1
  fi
  rm -f "$log"
fi

[ -z "$fewer" ] || say "some tests are skipped, since these programs are missing: $fewer" \
  "to run them too: $(command_for "$fewer_packages" | grep . || echo "install these programs")"
case $purposes in
  *' test '*) [ -n "$root" ] || say 'tests that need root are skipped (lab, helper, TUN); to run them too: sudo ./dev test' ;;
esac
