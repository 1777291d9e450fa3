#!/usr/bin/env bash
# Ends what connect.sh began, and waits until everything is put back. Fine where nothing was begun.
set -euo pipefail

# A process that has ended and that nobody has waited for (state Z) is over: the first process of a container may wait for none.
runs() { # runs PID
  [[ $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) == [!Z]* ]]
}

case ${KT_CONNECTED:-} in
  up) kt down ;;
  proxy:*)
    pid=${KT_CONNECTED#proxy:}
    # The number may be another program's by now.
    if ! tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q ' proxy '; then
      echo 'kt proxy has ended before'
    else
      kill "$pid"
      end=$((SECONDS + ${KT_WAIT_SECONDS:-70}))
      while runs "$pid" && [ "$SECONDS" -lt "$end" ]; do sleep 0.2; done
      ! runs "$pid" || { echo '::error::kt proxy did not end in time'; exit 1; }
      tail -n 3 "$RUNNER_TEMP/kt-proxy.log"
    fi
    ;;
  *) echo 'kt is not connected' ;;
esac
printf '%s=\n' KT_CONNECTED KT_HTTP_PROXY KT_SOCKS_PROXY >>"$GITHUB_ENV"
