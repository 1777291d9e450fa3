#!/usr/bin/env bash
# Connects as KT_MODE says. What disconnect.sh must know is in the job's environment.
set -euo pipefail
fail() { printf '::error::%s\n' "$1"; exit 1; }

args=()
[ -z "${KT_NAMESPACE:-}" ] || args+=(--namespace "$KT_NAMESPACE")
[ -z "${KT_CONTEXT:-}" ] || args+=(--context "$KT_CONTEXT")
[ -z "${KT_KUBECONFIG:-}" ] || args+=(--kubeconfig "$KT_KUBECONFIG")
while IFS= read -r line; do
  [ -z "$line" ] || args+=("$line")
done <<<"${KT_ARGS:-}"

case $KT_MODE in
  none) exit 0 ;;
  up)
    [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null ||
      fail 'mode up needs root or sudo without a password, and this runner has neither; use mode proxy'
    echo KT_CONNECTED=up >>"$GITHUB_ENV"
    kt up "${args[@]}"
    ;;
  proxy)
    [[ ${KT_PORT:-} =~ ^[1-9][0-9]{0,4}$ ]] || fail "the port ${KT_PORT:-} is none"
    log=$RUNNER_TEMP/kt-proxy.log
    # A session of its own: it outlives this step.
    setsid kt proxy --port "$KT_PORT" "${args[@]}" >"$log" 2>&1 </dev/null &
    pid=$!
    echo "KT_CONNECTED=proxy:$pid" >>"$GITHUB_ENV"
    end=$((SECONDS + ${KT_WAIT_SECONDS:-120}))
    until curl --silent --fail --noproxy '*' --max-time 5 --output /dev/null "http://127.0.0.1:$KT_PORT/proxy.pac"; do
      kill -0 "$pid" 2>/dev/null || { cat "$log"; fail 'kt proxy has ended (its words are above)'; }
      [ "$SECONDS" -lt "$end" ] || { cat "$log"; kill "$pid"; fail 'kt proxy did not answer in time (its words are above)'; }
      sleep 0.5
    done
    cat "$log"
    {
      echo "KT_HTTP_PROXY=http://127.0.0.1:$KT_PORT"
      echo "KT_SOCKS_PROXY=socks5h://127.0.0.1:$KT_PORT"
    } >>"$GITHUB_ENV"
    echo "proxy=127.0.0.1:$KT_PORT" >>"$GITHUB_OUTPUT"
    ;;
  *) fail "there is no mode $KT_MODE; there are up, proxy and none" ;;
esac
