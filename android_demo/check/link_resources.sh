#!/usr/bin/env bash
# Compiles and links the manifest and the resources of app/ with aapt2, as Gradle does, against
# Android's own resources:
#
#   check/link_resources.sh [FRAMEWORK.apk]
#
# FRAMEWORK.apk is an android.jar of the SDK or a framework-res.apk; without one it is that of Debian's
# package android-framework-res, which is Android 10's and so knows exactly what minSdk knows. Prints a
# line with what was linked. Exit status 1: aapt2 refuses something, the manifest asks for a camera,
# or the code names a resource that there is not; 2: a tool is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

framework=${1:-/usr/share/android-framework-res/framework-res.apk}
if ! command -v aapt2 >/dev/null; then
  echo "error: no aapt2: install Debian's package aapt, or take the SDK's build tools into the PATH" >&2
  exit 2
fi
if [ ! -e "$framework" ]; then
  echo "error: no $framework: install Debian's package android-framework-res, or name an android.jar" >&2
  exit 2
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version() { sed -n "s/^$1 = \"\([^\"]*\)\".*/\1/p" gradle/libs.versions.toml; }

# The build gives the manifest its package and the runtime's version.
sed -e 's/<manifest /<manifest package="action.mobile.app" /' \
  -e "s/\${executorch}/$(version executorch)/" app/src/main/AndroidManifest.xml >"$work/AndroidManifest.xml"
aapt2 compile --dir app/src/main/res -o "$work/resources.zip"
aapt2 link -I "$framework" --manifest "$work/AndroidManifest.xml" --auto-add-overlay \
  --min-sdk-version "$(version minSdk)" --target-sdk-version "$(version compileSdk)" \
  --java "$work" -o "$work/app.apk" "$work/resources.zip"

# A permission implies features, and shops hide an app from devices that lack one.
required=$(aapt2 dump badging "$work/app.apk" | sed -n "s/^ *uses-feature: name='\(android.hardware.camera[^']*\)'.*/\1/p")
if [ -n "$required" ]; then
  echo "error: the manifest requires" $required ", without which the app runs as well" >&2
  exit 1
fi

# Whatever the code calls R.type.name is there.
missing=0
names=$(grep -rhoE '\bR\.[a-z]+\.[a-z_0-9]+' app/src/main/kotlin | sort -u)
for name in $names; do
  IFS=. read -r _ type field <<<"$name"
  if ! sed -n "/static final class $type /,/}/p" "$work/action/mobile/app/R.java" | grep -qw "$field"; then
    echo "error: the code names $name, which no resource is" >&2
    missing=1
  fi
done
[ "$missing" = 0 ]
echo "linked $(find app/src/main/res -type f | wc -l) resource files against $framework; the code names $(wc -l <<<"$names") of their resources"
