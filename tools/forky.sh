#!/usr/bin/env bash
# Run a command in a tree of Debian forky, which has CPython 3.14 and 3.15:
#
#     tools/forky.sh [COMMAND ...]
#
# The tree is made on the first call and kept (in .forky, or where FASTLOOP_FORKY
# points, so that several checkouts can share one); without a command that is all.
# How the command runs is said in tools/tree.sh.
set -euo pipefail

packages="ca-certificates gcc libc6-dev make valgrind"
for version in 3.14 3.15; do
    packages+=" python$version-dev python$version-venv python$version-dbg"
    packages+=" libpython$version-testsuite"
done
tools=$(cd "$(dirname "$0")" && pwd -P)
home=${FASTLOOP_FORKY:-$(dirname "$tools")/.forky}
. "$tools/tree.sh"

make_tree() {
    local mirror
    wanted debootstrap debootstrap debian-archive-keyring
    mirror=$(find_mirror)
    # An older debootstrap has no script named forky; sid's does the same.
    echo "forky.sh: making the tree, which takes a minute or two" >&2
    debootstrap --variant=minbase --include="${packages// /,}" \
        forky "$root.new" "$mirror" sid >"$home/log" 2>&1 ||
        fail "debootstrap failed: $(tail -n 1 "$home/log"), see $home/log"
}

make_once make_tree
if [ $# -gt 0 ]; then
    enter "$@"
fi
