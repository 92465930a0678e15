#!/usr/bin/env bash
# Runs a command where Swift 6 is, in this folder:   check/swift.sh COMMAND [ARGUMENT...]
#
# That is here if `swift` is on the PATH. Else it is a root of Debian 13 (trixie), which has swiftlang,
# made once by debootstrap (a minute or two, 2.6 GB) in ${XDG_CACHE_HOME:-~/.cache}/action-mobile/swift;
# SWIFT_ROOT names another folder. Inside, the checkout lies read-only at /src. The command finds
#   REPOSITORY  the checkout's root,
#   SCRATCH     a folder for what it builds, kept between calls (outside of the checkout), and
#   FIXTURES    what FIXTURES names outside, if it does.
# `check/swift.sh` without a command only sees to it that Swift is there.
#
# SWIFT_GET=no makes no root, and waits for one that is being made.
# Exit status: the command's, or 4 where no Swift is to be had, with one line that says why.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd -P)
repository=$(dirname "$here")
cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/action-mobile
root=${SWIFT_ROOT:-$cache/swift}
packages=swiftlang,libc6-dev,libstdc++-14-dev,ca-certificates,tzdata

none() {
  echo "note: no Swift here ($1): install Swift 6, or run this as root on Debian with debootstrap" >&2
  exit 4
}

# Checkouts build in folders of their own: what one built would pass for what the other did.
scratch=${SWIFT_SCRATCH:-$cache/build/$(printf '%s' "$here" | sha256sum | cut -c1-12)}
mkdir -p "$scratch"

if command -v swift >/dev/null && command -v swiftc >/dev/null; then
  [ $# -gt 0 ] || exit 0
  cd "$here"
  REPOSITORY=$repository SCRATCH=$scratch exec "$@"
fi

mkdir -p "$cache" "$(dirname "$root")"
exec 9>"$cache/swift.lock"
# Of whoever makes the root: that takes minutes, and who only asks for it does not wait for ever.
flock ${SWIFT_GET:+-w 480} 9 || none "its root is still being made"
if [ ! -x "$root/usr/bin/swiftc" ]; then
  [ "${SWIFT_GET:-yes}" = yes ] || none "check/swift.sh has not made its root yet"
  [ "$(id -u)" = 0 ] || none "not on the PATH, and making a root of Debian 13 takes root's rights"
  command -v debootstrap >/dev/null || none "debootstrap is missing: apt-get install debootstrap"
  [ ! -e "$root" ] || none "$root is there and holds no Swift: delete it or choose another SWIFT_ROOT"
  part=$(mktemp -d "$root.XXXXXX")
  trap 'rm -rf "$part"' EXIT
  chmod 755 "$part"
  echo "getting Swift: a root of Debian 13 at $root" >&2
  debootstrap --variant=minbase --include="$packages" trixie "$part" >"$part.log" 2>&1 9>&- &
  making=$!
  # Who stops this stops that too, or it would write on into a folder that is gone.
  trap 'kill $making 2>/dev/null; wait $making 2>/dev/null; rm -rf "$part" "$part.log"' EXIT
  if ! wait $making; then
    reason=$(grep '^E:' "$part.log" | tail -1 || true)
    rm -f "$part.log"
    none "debootstrap failed: ${reason:-see its own output}"
  fi
  rm -f "$part.log" "$part"/var/cache/apt/archives/*.deb
  mv "$part" "$root"
  trap - EXIT
fi
exec 9>&-
[ $# -gt 0 ] || exit 0
[ "$(id -u)" = 0 ] || none "$root has to be entered by root"
unshare --mount true 2>/dev/null || none "this container may not mount: the root cannot see the checkout"

# A mount namespace of its own: whatever happens, nothing stays mounted.
# shellcheck disable=SC2016 # expanded inside
exec unshare --mount sh -c '
  set -e
  root=$1 repository=$2 scratch=$3 fixtures=$4
  shift 4
  mkdir -p "$root/src" "$root/scratch" "$root/fixtures"
  mount -t proc proc "$root/proc"
  mount --bind "$repository" "$root/src"
  mount -o remount,bind,ro "$root/src"
  mount --bind "$scratch" "$root/scratch"
  [ -z "$fixtures" ] || mount --bind "$fixtures" "$root/fixtures"
  exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin HOME=/scratch LANG=C.UTF-8 \
    REPOSITORY=/src SCRATCH=/scratch ${fixtures:+FIXTURES=/fixtures} \
    sh -c "cd /src/ios_demo && exec \"\$@\"" sh "$@"
' sh "$root" "$repository" "$scratch" "${FIXTURES:-}" "$@"
