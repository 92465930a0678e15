#!/usr/bin/env bash
# Everything about ios_demo that Linux can check, with Swift from check/swift.sh. Any argument names the
# steps instead of all: format, package, app.
#
# Exit status: 0, 1 for a step that fails, 4 where no Swift is to be had.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
steps=${*:-format package app}

for step in $steps; do
  echo "== $step"
  case $step in
    # The formatter of the toolchain, with the rules of .swift-format.
    format) "$here/swift.sh" swift format lint --strict --recursive Recognizer App ;;
    # The recogniser with its tests, which write a report for the tests in Python into SCRATCH.
    package)
      # What measures the process's memory has one of its own: other tests take some meanwhile.
      # shellcheck disable=SC2016 # expanded where Swift is
      "$here/swift.sh" sh -c '
        set -e
        test="swift test --disable-xctest --package-path Recognizer --scratch-path $SCRATCH/recognizer"
        $test -Xswiftc -warnings-as-errors --skip DoNotGrow
        $test -Xswiftc -warnings-as-errors --filter DoNotGrow' ;;
    # The app against stand-ins of Apple's modules; SIL, since the data races are found while it is made.
    app)
      # shellcheck disable=SC2016
      "$here/swift.sh" sh -c '
        set -e
        mkdir -p "$SCRATCH/modules"
        compile="swiftc -swift-version 6 -parse-as-library -I $SCRATCH/modules"
        module() {
          name=$1 && shift
          made=$SCRATCH/modules/$name.swiftmodule
          # What it is made of has not changed since.
          if [ -e "$made" ] && [ -z "$(find "$@" -newer "$made")" ]; then return; fi
          $compile -module-name "$name" -emit-module -emit-module-path "$made" "$@"
        }
        for name in AppleFoundation Darwin UIKit CoreVideo CoreMedia AVFoundation CoreML os SwiftUI; do
          module "$name" "check/Stubs/$name.swift"
        done
        module Recognizer Recognizer/Sources/Recognizer/*.swift
        $compile -warnings-as-errors -module-name App -wmo -emit-sil -o /dev/null App/*.swift' ;;
    *) echo "error: no step $step: there are format, package, app" >&2; exit 2 ;;
  esac
done
