#!/usr/bin/env bash
# clang-tidy over the library's translation units (all headers and .ipp files come with them). Exits 77 without
# clang-tidy 19, whose checks .clang-tidy is written for.
#
#   tools/tidy.sh [FILE...]     default: all of src/*.cpp
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tidy=$(command -v clang-tidy-19) || { echo "clang-tidy 19 is not installed: not run"; exit 77; }

mkdir -p build
clang=$(command -v clang++-19 || command -v clang++ || true)
cmake --preset tidy ${clang:+-DCMAKE_CXX_COMPILER="$clang"} >build/tidy.configure.log 2>&1 || {
  cat build/tidy.configure.log
  exit 1
}
files=("$@")
if [ ${#files[@]} = 0 ]; then
  files=(src/*.cpp)
fi
# The path analysis of the test doubles takes minutes and finds nothing: left out there.
check() {
  local checks=
  case $1 in src/testing*) checks='-clang-analyzer-*' ;; esac
  "$tidy" -p build/tidy --quiet --warnings-as-errors='*' --checks="$checks" "$1"
}
export -f check
export tidy
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -I{} bash -c 'check {}'
