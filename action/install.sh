#!/usr/bin/env bash
# Downloads kt KT_VERSION for this machine from KT_RELEASE_URL, and puts it into the job's PATH if its checksum is right.
set -euo pipefail
fail() { printf '::error::%s\n' "$1"; exit 1; }

[ "$(uname -s)" = Linux ] || fail "kt runs on Linux, and this runner is $(uname -s)"
case $(uname -m) in
  x86_64) arch=x64 ;;
  aarch64 | arm64) arch=arm64 ;;
  *) fail "there is no kt for $(uname -m)" ;;
esac
[[ $KT_VERSION =~ ^[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*$ ]] || fail "the version $KT_VERSION is none; expected one as 0.1.0"
file=kt-linux-$arch
folder=${RUNNER_TOOL_CACHE:-$RUNNER_TEMP}/kt/$KT_VERSION/$arch

fresh=$(mktemp -d "$RUNNER_TEMP/kt.XXXXXX")
trap 'rm -rf "$fresh"' EXIT
fetch() { # fetch FILE: from the release; never over plain http, which others could change on the way
  curl --fail --silent --show-error --location --proto =https,file --retry 3 --max-time 600 \
    --output "$fresh/$1" "${KT_RELEASE_URL%/}/v$KT_VERSION/$1" || fail "$1 of kt $KT_VERSION cannot be downloaded (see above)"
}

wanted=${KT_SHA256:-}
if [ -z "$wanted" ]; then
  fetch SHA256SUMS
  wanted=$(awk -v file="$file" '$2 == file { print $1 }' "$fresh/SHA256SUMS")
fi
[[ $wanted =~ ^[0-9a-f]{64}$ ]] || fail "the release $KT_VERSION has no checksum of $file"
sum() { sha256sum "$1" | cut -d ' ' -f 1; }

# What an earlier job has left is as good, if it is the same.
if ! [ -x "$folder/kt" ] || [ "$(sum "$folder/kt")" != "$wanted" ]; then
  fetch "$file"
  found=$(sum "$fresh/$file")
  [ "$found" = "$wanted" ] || fail "$file of kt $KT_VERSION is not what was released: its checksum is $found, not $wanted"
  mkdir -p "$folder"
  chmod 755 "$fresh/$file"
  mv "$fresh/$file" "$folder/kt"
fi
echo "$folder" >>"$GITHUB_PATH"
"$folder/kt" --version
