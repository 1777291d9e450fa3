#!/bin/sh
# npm-ci.sh WHAT ARG...: `npm ci ARG...`, with what it is for said before. A failure is shown soon, with npm's reason, without
# npm's stack, and with what to do.
set -eu
what=$1
shift
echo "dev: installing $what" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if npm ci --no-audit --no-fund --loglevel=error --fetch-retry-mintimeout=2000 --fetch-retry-maxtimeout=8000 "$@" >"$log" 2>&1
then
  exit 0
fi
# Without places in npm's code, fields of its error objects, and empty lines.
sed -E -e '/^npm (error|ERR!) +at /d' -e '/^npm (error|ERR!)  +[a-z]+: /d' -e '/^npm (error|ERR!)[ }]*$/d' -e 's/ +\{$//' "$log" |
  tail -n 15 | sed 's/^/  | /' >&2
printf 'dev: %s\n' "npm could not install $what (the lines above say why)" \
  "see that the registry $(npm config get registry) can be reached and that the disk is not full, then run the same again" >&2
exit 1
