#!/usr/bin/env bash
# Run a command with fastloop built for aarch64, in a tree of Debian trixie for that
# processor, which qemu runs on an x86_64 machine:
#
#     tools/arm64.sh [COMMAND ...]
#     tools/arm64.sh python -m pytest tests/core
#
# The tree is made on the first call and kept (in .forky/arm64, or where FASTLOOP_ARM64
# points); making it takes some ten minutes. The module is built in place, beside those
# of other Pythons, by a cross compiler that the machine runs without qemu. Without a
# command that is all. How the command runs is said in tools/tree.sh; its python has the
# extra test. Ten to twenty times slower than without qemu: FASTLOOP_TESTS_SLOWER
# stretches the tests' times.
set -euo pipefail

packages="ca-certificates make openssl python3-dev python3-venv"
packages+=" gcc-aarch64-linux-gnu:amd64"
tools=$(cd "$(dirname "$0")" && pwd -P)
home=${FASTLOOP_ARM64:-$(dirname "$tools")/.forky/arm64}

# --- what runs inside -----------------------------------------------------------

venv=/opt/fastloop
module=fastloop/_core.cpython-313-aarch64-linux-gnu.so

hash_of() {
    cat "$@" | sha256sum | cut -d ' ' -f 1
}

make_environment() {
    local -a requirements
    rm -rf "$venv"
    python3 -m venv "$venv"
    mapfile -t requirements < <(python3 - <<'PY'
import tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["project"]["optional-dependencies"]["test"], sep="\n")
PY
    )
    "$venv/bin/pip" install -q "${requirements[@]}"
}

prepare() {
    local wanted
    wanted=$(hash_of pyproject.toml)
    if [ "$(cat "$venv/environment" 2>/dev/null)" != "$wanted" ]; then
        make_environment
        echo "$wanted" >"$venv/environment"
    fi
    mkdir -p build
    wanted=$(hash_of setup.py $(find csrc -name '*.[ch]' | sort))
    if [ "$(cat build/.arm64 2>/dev/null)" != "$wanted" ] || [ ! -e "$module" ]; then
        "$venv/bin/python" setup.py -q build_ext --inplace
        echo "$wanted" >build/.arm64
    fi
}

if [ "${1:-}" = --inside ]; then
    shift
    (
        flock 9
        cd "$tools/.."
        prepare
    ) 9>"$venv.lock" </dev/null
    [ $# -gt 0 ] || exit 0
    export PATH=$venv/bin:$PATH VIRTUAL_ENV=$venv PYTHONPATH=${tools%/*}
    exec "$@"
fi

# --- what runs outside ----------------------------------------------------------

. "$tools/tree.sh"

make_tree() {
    local mirror
    wanted mmdebstrap mmdebstrap debian-archive-keyring
    mirror=$(find_mirror)
    echo "arm64.sh: making the tree, which takes some ten minutes" >&2
    mmdebstrap --variant=apt --architectures=arm64,amd64 --include="${packages// /,}" \
        trixie "$root.new" "$mirror" >"$home/log" 2>&1 ||
        fail "mmdebstrap failed: $(tail -n 1 "$home/log"), see $home/log"
}

# The kernel hands programs for aarch64 to qemu once it is told so.
register_qemu() {
    local formats=/proc/sys/fs/binfmt_misc
    wanted qemu-aarch64-static qemu-user-static binfmt-support
    [ -e "$formats/register" ] || mount -t binfmt_misc binfmt_misc "$formats"
    [ -e "$formats/qemu-aarch64" ] || update-binfmts --enable qemu-aarch64
}

register_qemu
make_once make_tree
enter "$tools/arm64.sh" --inside "$@"
