#!/bin/sh
# readable.sh FROM TO: shows the folder FROM at TO (which is there), for reading only and so that every user may read it,
# whatever the modes of FROM and of the folders above it are. To be run in a mount namespace of one's own.
set -eu
from=$1 to=$2
mount -t tmpfs -o mode=755 tmpfs "$to"
cd "$from"
# What others may not read is copied; binding a file keeps its mode. That is the case in a checkout made with umask 077.
closed=$(find . -path ./.git -prune -o ! -type l ! -perm -o=r -print | grep -vx . | head -n 1)
for name in .[!.]* *; do
  [ -e "$name" ] && [ "$name" != .git ] || continue
  if [ -n "$closed" ] || [ -L "$name" ]; then
    cp -a "$name" "$to/$name"
    continue
  fi
  if [ -d "$name" ]; then mkdir "$to/$name"; else : >"$to/$name"; fi
  mount --bind "$name" "$to/$name"
  mount -o remount,bind,ro "$to/$name"
done
[ -z "$closed" ] || chmod -R go+rX "$to"
mount -o remount,ro "$to"
