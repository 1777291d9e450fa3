# Ends every kt of this machine and puts back what it changed, before its program is removed.
program=/usr/bin/kt
if [ -d /run/systemd/system ]; then
  systemctl stop kt.socket 'kt@*.service' || true
fi
# Each journal is that of a user who is connected, or of a kt that was killed.
for journal in /var/lib/kt/*.json; do
  [ -e "$journal" ] || continue
  "$program" --kt-program helper undo --end "$(basename "$journal" .json)" >/dev/null || true
done
for journal in /var/lib/kt/*.json; do
  [ -e "$journal" ] || continue
  echo "kt: $journal says what is not undone yet; see that /etc/resolv.conf is yours, then remove that file" >&2
  exit 1
done
# What holds an exchange, a mesh or a forward puts the cluster back when it is told to end.
processes_of_kt() {
  for process in /proc/[0-9]*; do
    if [ "$process/exe" -ef "$program" ]; then echo "${process#/proc/}"; fi
  done
}
running=$(processes_of_kt)
# shellcheck disable=SC2086 # numbers
[ -z "$running" ] || kill -TERM $running 2>/dev/null || true
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
  [ -n "$(processes_of_kt)" ] || break
  sleep 1
done
