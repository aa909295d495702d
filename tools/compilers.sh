#!/usr/bin/env bash
# Builds the library and its unit tests with every supported compiler that is installed, and runs them.
#
#   tools/compilers.sh [--quick] [COMPILER...]
#
# --quick only checks that each compiler accepts the library's sources with all warnings on. Compilers that aren't
# installed are named and skipped, and the last line says how many were there; with none at all it fails. Trees:
# build/compilers/<name>.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

quick=
if [ "${1:-}" = --quick ]; then quick=1; shift; fi
compilers=("$@")
[ ${#compilers[@]} != 0 ] || compilers=(g++-11 g++-12 g++-13 clang++-14 clang++-15 clang++-16 clang++-17 clang++-18 clang++-19)
flags='-std=c++20 -Iinclude -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Werror'
read -ra flags <<<"$flags"

syntax() {  # COMPILER: the compiled library, and all public headers in one header-only unit
  local source
  printf "#include <mlflowha/impl/src.hpp>\n" | "$1" "${flags[@]}" -fsyntax-only -x c++ - || return 1
  for source in src/testing.cpp src/logging.cpp; do
    "$1" "${flags[@]}" -fsyntax-only "$source" || return 1
  done
  (cd include && find mlflowha -name '*.hpp' ! -path '*/impl/*' | sort) | sed 's/.*/#include <&>/' |
    "$1" "${flags[@]}" -DMLFLOWHA_HEADER_ONLY -fsyntax-only -x c++ - || return 1
}
full() {  # COMPILER
  local tree=build/compilers/$1
  mkdir -p build/compilers
  cmake --preset dev -B "$tree" -DCMAKE_CXX_COMPILER="$1" -DMLFLOWHA_BUILD_EXAMPLES=OFF -DMLFLOWHA_BUILD_FUZZ=OFF \
    >"$tree.configure.log" 2>&1 || { cat "$tree.configure.log"; return 1; }
  cmake --build "$tree" -j "$(nproc)" --target mlflowha_unit_tests || return 1
  "$tree/tests/mlflowha_unit_tests"
}

ran=0 failed=() absent=()
for compiler in "${compilers[@]}"; do
  if ! command -v "$compiler" >/dev/null; then
    echo "== $compiler: not installed"
    absent+=("$compiler")
    continue
  fi
  ran=$((ran + 1))
  if [ -n "$quick" ]; then run=syntax; else run=full; fi
  if "$run" "$compiler"; then
    echo "== $compiler: good"
  else
    echo "== $compiler: FAILED"
    failed+=("$compiler")
  fi
done
[ "$ran" != 0 ] || { echo "none of ${compilers[*]} is installed"; exit 1; }
echo "$ran of ${#compilers[@]} compilers were there${absent[*]:+; not asked: ${absent[*]}}"
[ ${#failed[@]} = 0 ] || { echo "failed: ${failed[*]}"; exit 1; }
