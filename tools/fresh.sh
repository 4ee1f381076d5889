#!/usr/bin/env bash
# Follow the README on a bare Debian, in a tree that is made anew and removed again:
#
#     tools/fresh.sh RELEASE [COMMAND ...]      bookworm or trixie, for example
#
# The tree has what the README says to install, and make; in it lies what git keeps of
# this checkout. Runs `make demo` and `make test` there, or the command, and says how long
# each took. FASTLOOP_FRESH names another place for the tree than .forky.
set -euo pipefail

# Inside, in the copy: with what this machine has set for pip, and no other tool.
in_turns() {
    local start command
    cd /fastloop
    for command in "$@"; do
        start=$SECONDS
        bash -c "$command"
        echo "=== $command: $((SECONDS - start)) s"
    done
}
if [ "${1:-}" = --inside ]; then
    in_turns "${@:2}"
    exit
fi

# The second time this script starts, its tree is mounted.
if [ "${1:-}" != --mounted ]; then
    export FASTLOOP_RELEASE=${1:?which release? For example: tools/fresh.sh trixie}
    shift
fi
packages="ca-certificates gcc libc6-dev make python3 python3-dev python3-venv"
tools=$(cd "$(dirname "$0")" && pwd -P)
home=${FASTLOOP_FRESH:-$(dirname "$tools")/.forky}/fresh-$FASTLOOP_RELEASE
. "$tools/tree.sh"

make_tree() {
    local mirror
    wanted mmdebstrap mmdebstrap debian-archive-keyring
    mirror=$(find_mirror)
    mmdebstrap --variant=minbase --include="${packages// /,}" \
        "$FASTLOOP_RELEASE" "$root.new" "$mirror" >"$home/log" 2>&1 ||
        fail "mmdebstrap failed: $(tail -n 1 "$home/log"), see $home/log"
    # Where Debian is installed, its installer has done so.
    echo "127.0.0.1 localhost" >"$root.new/etc/hosts"
    mkdir "$root.new/fastloop"
    (cd "$checkout" && git ls-files -z | tar -c --null -T -) |
        tar -C "$root.new/fastloop" -x --no-same-owner
}

[ $# -gt 0 ] || set -- "make demo" "make test"
rm -rf --one-file-system "$root"
make_once make_tree
enter /bin/bash /fastloop/tools/fresh.sh --inside "$@"
rm -rf --one-file-system "$root"
