#!/usr/bin/env bash
# Run a command with fastloop built for aarch64, in a tree of Debian trixie for that
# processor, which qemu runs on an x86_64 machine:
#
#     tools/arm64.sh [COMMAND ...]
#     tools/arm64.sh python -m pytest tests/core
#
# The tree is made on the first call and kept (in .forky/arm64, or where FASTLOOP_ARM64
# points). Its packages are unpacked, not configured, and pip fills its python's
# environment from outside: under qemu both would take a quarter of an hour. The module
# is built in place, beside those of other Pythons, by zig, which needs no qemu, with what
# the wheels are built with. Without a command that is all. How the command runs is said
# in tools/tree.sh; its python has the extra test, and tests know that all is some ten
# times slower.
set -euo pipefail

packages="base-files base-passwd bash coreutils dash diffutils findutils grep gzip"
packages+=" hostname libc-bin make mawk openssl procps sed tar util-linux"
packages+=" python3-dev python3-venv"
tools=$(cd "$(dirname "$0")" && pwd -P)
home=${FASTLOOP_ARM64:-$(dirname "$tools")/.forky/arm64}

# --- what runs inside -----------------------------------------------------------

venv=/opt/fastloop
zig="$venv/zig/ziglang/zig cc -target aarch64-linux-gnu.2.17"
module=fastloop/_core.cpython-313-aarch64-linux-gnu.so

build_if_changed() {
    local wanted
    mkdir -p build
    wanted=$(cat setup.py $(find csrc -name '*.[ch]' | sort) | sha256sum)
    if [ "$(cat build/.arm64 2>/dev/null)" != "$wanted" ] || [ ! -e "$module" ]; then
        ZIG_GLOBAL_CACHE_DIR=$venv/cache ZIG_LOCAL_CACHE_DIR=$venv/cache \
            CC=$zig LDSHARED="$zig -shared" LDFLAGS=$zig_ldflags \
            CFLAGS="$zig_cflags -idirafter /usr/include" \
            "$venv/bin/python" setup.py -q build_ext --inplace
        echo "$wanted" >build/.arm64
    fi
}

if [ "${1:-}" = --inside ]; then
    shift
    (
        flock 9
        cd "$tools/.."
        . tools/wheel_steps.sh
        build_if_changed >&2
    ) 9>"$venv/lock" </dev/null
    [ $# -gt 0 ] || exit 0
    export PATH=$venv/bin:$PATH VIRTUAL_ENV=$venv PYTHONPATH=${tools%/*}
    export CC=$zig ZIG_GLOBAL_CACHE_DIR=$venv/cache ZIG_LOCAL_CACHE_DIR=$venv/cache
    export FASTLOOP_TESTS_EMULATED=1
    export FASTLOOP_TESTS_SLOWER=${FASTLOOP_TESTS_SLOWER:-10} PYTEST_TIMEOUT=900
    export PYTEST_ADDOPTS="-o faulthandler_timeout=1000 ${PYTEST_ADDOPTS:-}"
    unset PYTHONDONTWRITEBYTECODE
    exec "$@"
fi

# --- what runs outside ----------------------------------------------------------

. "$tools/tree.sh"
. "$tools/pythons.sh"
. "$tools/wheel_steps.sh"

# The kernel hands programs for aarch64 to qemu once it is told so.
register_qemu() {
    local formats=/proc/sys/fs/binfmt_misc
    wanted qemu-aarch64-static qemu-user-static binfmt-support
    [ -e "$formats/register" ] || mount -t binfmt_misc binfmt_misc "$formats"
    [ -e "$formats/qemu-aarch64" ] || update-binfmts --enable qemu-aarch64
}

# What the packages' scripts would have done, as far as it is missed.
configure() {
    local name
    for name in passwd group; do
        cp "$root.new/usr/share/base-passwd/$name.master" "$root.new/etc/$name"
    done
    echo "127.0.0.1 localhost" >"$root.new/etc/hosts"
    ln -s mawk "$root.new/usr/bin/awk"
    chroot "$root.new" python3 -m venv --without-pip "$venv"
}

make_tree() {
    local mirror
    wanted mmdebstrap mmdebstrap debian-archive-keyring
    mirror=$(find_mirror)
    echo "arm64.sh: making the tree, which takes a minute or two" >&2
    mmdebstrap --variant=extract --architectures=arm64 \
        --include="${packages// /,}" trixie "$root.new" "$mirror" >"$home/log" 2>&1 ||
        fail "mmdebstrap failed: $(tail -n 1 "$home/log"), see $home/log"
    configure
}

# Under qemu it takes minutes, which a Python of the same version here saves.
compile_python() {
    local folders=(usr/lib/python3.13 "${venv#/}/lib") python
    if python=$(find_python 3.13); then
        (cd "$root" && "$python" -m compileall -q -j 0 "${folders[@]}") || true
    else
        chroot "$root" python3 -m compileall -q -j 0 "${folders[@]/#//}" || true
    fi
}

# Some machines' python3 has no pip, but all can make an environment that has.
fill_environment() {
    local wanted
    local -a requirements
    wanted=$(sha256sum <"$checkout/pyproject.toml")
    [ "$(cat "$root$venv/filled" 2>/dev/null)" != "$wanted" ] || return 0
    mapfile -t requirements < <(python3 - "$checkout/pyproject.toml" <<'PY'
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    print(*tomllib.load(file)["project"]["optional-dependencies"]["test"], sep="\n")
PY
    )
    [ -x "$home/pip/bin/pip" ] || python3 -m venv "$home/pip"
    "$home/pip/bin/pip" install -q --upgrade --python-version 3.13 \
        --platform manylinux_2_28_aarch64 --platform manylinux2014_aarch64 \
        --only-binary :all: --target "$root$venv/lib/python3.13/site-packages" \
        "${requirements[@]}"
    "$home/pip/bin/pip" install -q --upgrade --target "$root$venv/zig" "$zig_package"
    compile_python
    echo "$wanted" >"$root$venv/filled"
}

register_qemu
make_once make_tree
(
    flock 9
    fill_environment
) 9>"$home/lock" </dev/null >&2
enter "$tools/arm64.sh" --inside "$@"
