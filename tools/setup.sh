#!/usr/bin/env bash
# Brings a fresh Debian or Ubuntu machine to where a make target can run, and does nothing where nothing is missing.
#
#   tools/setup.sh GROUP...     the groups of tools/needs/apt.txt, a venv for each tools/needs/mlflow-*.txt, and the programs
#                               of tools/needs/go-tools.txt
#
# What is needed stands in tools/needs/. Uses sudo when not root. Needs no network when everything is there.
# venvs go to build/venv/<name> and are made anew when their requirements, their Python or their place changes.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
needs=$root/tools/needs
say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

installed() {  # PACKAGE: whether dpkg has it
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}
known() {  # PACKAGE: whether apt could install it
  local policy # not a pipe into grep -q, whose early end would kill apt-cache and fail the pipe
  policy=$(apt-cache policy "$1" 2>/dev/null) && grep -Eq '^ +Candidate: [^(]' <<<"$policy"
}

# GROUP...: prints "<must|may> <names>" for each line of these groups of which nothing is there.
missing_lines() {
  local group names proof kind name found
  while read -r group names proof; do
    case $group in '' | '#'*) continue ;; esac
    kind=must
    case $group in *'?') kind=may group=${group%?} ;; esac
    case " $* " in *" $group "*) ;; *) continue ;; esac
    found=
    for name in ${names//|/ }; do installed "$name" && found=1 && break; done
    if [ -z "$found" ] && [ -n "$proof" ] && compgen -G "${proof#=}" >/dev/null; then found=1; fi
    [ -n "$found" ] || printf '%s %s\n' "$kind" "$names"
  done <"$needs/apt.txt"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}
try() {  # COMMAND...: up to three times, since mirrors hiccup
  local n
  for n in 1 2 3; do
    "$@" && return 0
    [ "$n" = 3 ] || { say "failed, trying again: $*"; sleep $((n * 5)); }
  done
  return 1
}

choose() {  # LINES: fills `wanted` and `unknown` from "<must|may> <names>" lines, as far as apt knows the names
  local kind names name pick
  wanted=() unknown=()
  while read -r kind names; do
    [ -n "$kind" ] || continue
    pick=
    for name in ${names//|/ }; do known "$name" && pick=$name && break; done
    if [ -n "$pick" ]; then wanted+=("$pick"); elif [ "$kind" = must ]; then unknown+=("$names"); fi
  done <<<"$1"
}

apt_groups() {  # GROUP...: installs what is missing of them
  command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || {
    say "no apt here: expecting what tools/needs/apt.txt lists to be installed already"
    return 0
  }
  local lines marker=$root/build/setup.apt-looked
  lines=$(missing_lines "$@")
  [ -n "$lines" ] || return 0
  # A wanted package that apt doesn't have is looked for once a day, not in each run.
  if ! grep -q '^must' <<<"$lines" && [ "$(cat "$marker" 2>/dev/null)" = "$(date +%F) $(cksum <<<"$lines")" ]; then
    return 0
  fi
  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    choose "$lines"
    die "not root and no sudo; ask an administrator for: apt-get install ${wanted[*]:-} ${unknown[*]:-}"
  fi
  say "asking apt for its newest lists"
  try as_root apt-get update -qq || say "apt-get update failed; going on with the lists that are there"
  choose "$lines"
  [ ${#unknown[@]} = 0 ] || die "apt knows none of: ${unknown[*]} (is 'universe' enabled?)"
  if [ ${#wanted[@]} != 0 ]; then
    say "installing with apt: ${wanted[*]}"
    try as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" \
      >"$root/build/setup.apt.log" 2>&1 || { tail -30 "$root/build/setup.apt.log" >&2; die "apt-get install failed"; }
  fi
  lines=$(missing_lines "$@")
  [ -z "$lines" ] || say "not offered here, what needs it is skipped: $(cut -d' ' -f2 <<<"$lines" | tr '\n' ' ')"
  printf '%s' "$(date +%F) $(cksum <<<"$lines")" >"$marker"
}

find_python() {  # prints the first Python that can make a venv and run MLflow
  local name
  for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3; do
    if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      "$name" -c 'import sys; print(sys.executable)'
      return 0
    fi
  done
  return 1
}

venv() {  # NAME: build/venv/NAME from tools/needs/NAME.txt
  local name=$1 dir=$root/build/venv/$1 python key started=$SECONDS
  [ -f "$needs/$name.txt" ] || die "no such group or venv: $name"
  # An existing venv keeps the Python that it was made with.
  python=$(cat "$dir/.python" 2>/dev/null || true)
  [ -n "$python" ] && [ -x "$python" ] || python=$(find_python) || die "no Python >= 3.10 with venv (package python3-venv)"
  key=$({ "$python" --version && printf '%s\n' "$python" "$dir" && cat "$needs/$name.txt"; } | sha256sum | cut -d' ' -f1)
  [ "$(cat "$dir/.key" 2>/dev/null)" = "$key" ] && return 0
  say "making $name in build/venv with $("$python" --version) (about a minute)"
  rm -rf "$dir"
  "$python" -m venv "$dir"
  try "$dir/bin/python" -m pip install --quiet --disable-pip-version-check --retries 5 --timeout 60 \
    -r "$needs/$name.txt" || die "pip could not install tools/needs/$name.txt"
  printf '%s' "$python" >"$dir/.python"
  printf '%s' "$key" >"$dir/.key" # last: a venv without it is unfinished
  say "$name is ready after $((SECONDS - started)) s"
}

go_program() {  # LEAST: prints a Go that is new enough
  local go version
  for go in go /usr/local/go/bin/go "$root/build/venv/go/bin/go"; do
    version=$(GOTOOLCHAIN=local "$go" env GOVERSION 2>/dev/null) || continue
    if printf '%s\n' "go$1" "$version" | sort -VC; then printf '%s' "$go"; return 0; fi
  done
  return 1
}
go_tool() {  # NAME: build/tools/NAME, as tools/needs/go-tools.txt says
  local name=$1 package least go started=$SECONDS
  read -r _ package least <<<"$(grep "^$name " "$needs/go-tools.txt")"
  [ -x "$root/build/tools/$name" ] && [ "$(cat "$root/build/tools/$name.key" 2>/dev/null)" = "$package" ] && return 0
  if ! go=$(go_program "$least"); then
    venv go
    go=$(go_program "$least") || die "no Go >= $least, and pip has none"
  fi
  say "building $name with $go (about a minute)"
  # Nothing but the program stays: its modules and what was compiled of them are a gigabyte.
  GOTOOLCHAIN=local GOFLAGS=-modcacherw GOPATH=$root/build/go GOCACHE=$root/build/go/cache GOBIN=$root/build/tools \
    try "$go" install -trimpath "$package" || die "go could not install $package"
  rm -rf "$root/build/go"
  printf '%s' "$package" >"$root/build/tools/$name.key"
  say "$name is ready after $((SECONDS - started)) s"
}

[ $# -gt 0 ] || die "usage: tools/setup.sh GROUP... (see tools/needs/)"
mkdir -p "$root/build/venv"

groups=() venvs=() programs=()
for group in "$@"; do
  if [ -f "$needs/$group.txt" ]; then
    venvs+=("$group")
  elif grep -Eq "^${group}\\??[[:space:]]" "$needs/apt.txt"; then
    groups+=("$group")
  elif grep -q "^$group " "$needs/go-tools.txt"; then
    programs+=("$group")
  else
    die "no such group: $group"
  fi
done
# A Python that can already make venvs (pyenv, a container's own) needs no python3-venv.
if [ ${#venvs[@]} != 0 ] && ! find_python >/dev/null; then groups+=(python); fi
# Two make targets at once take turns: at apt, and at each venv.
if [ ${#groups[@]} != 0 ]; then
  exec 9>"$root/build/setup.apt.lock"
  flock 9
  apt_groups "${groups[@]}" 9>&-
  exec 9>&-
fi
for name in ${venvs[@]+"${venvs[@]}"}; do
  exec 9>"$root/build/venv/$name.lock"
  flock 9
  venv "$name" 9>&-
  exec 9>&-
done
for name in ${programs[@]+"${programs[@]}"}; do
  exec 9>"$root/build/$name.lock"
  flock 9
  go_tool "$name" 9>&-
  exec 9>&-
done
