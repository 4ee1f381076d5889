#!/usr/bin/env bash
# Build fastloop for one Python and run something with it, pytest if nothing is named:
#
#     tools/on_python.sh 3.14 [COMMAND ...]
#     tools/on_python.sh 3.14d ...          the debug build of the interpreter
#     FASTLOOP_DEBUG=1 tools/on_python.sh 3.13 ...
#
# The interpreter is one of this machine's, or else of tools/forky.sh's tree. It gets
# an environment in .venvs/, with the extra test and the group compat, whose bin/ comes
# first in the command's PATH. Modules of several Pythons lie side by side in
# fastloop/. A build with one of setup.py's switches would overwrite them: it is made,
# and the command run, in a copy of the checkout. That with FASTLOOP_DEBUG has the
# extra test alone.
#
# Exits 69 if there is no such Python here, else as the command does.
set -euo pipefail

checkout=$(cd "$(dirname "$0")/.." && pwd -P)
no_such_python=69
. "$checkout/tools/pythons.sh"

fail() {
    echo "on_python.sh: $*" >&2
    exit "${status:-1}"
}

switches() {
    local switch
    for switch in DEBUG SANITIZE COVERAGE; do
        local variable=FASTLOOP_$switch
        [ "${!variable:-0}" = 0 ] || printf -- '-%s' "${switch,,}"
    done
}

# --- what runs beside the interpreter, in the tree or not ---------------------

# What the environment was made from, as one word.
hash_of() {
    { echo "$python"; "$python" -VV; cat "$@"; } | sha256sum | cut -d ' ' -f 1
}

up_to_date() {
    [ "$(cat "$1" 2>/dev/null)" = "$2" ]
}

# What a build leaves in the copy stays there, so that the next one is short.
copy_checkout() {
    mkdir -p "$tree"
    find "$tree" -mindepth 1 -maxdepth 1 ! -name build ! -name '*.egg-info' \
        -exec rm -rf {} +
    tar -C "$checkout" -c --exclude-vcs --exclude={./build,./.venv,./.venvs,./.forky} \
        --exclude={*.so,*.egg-info,__pycache__,.hypothesis,'.*_cache'} . |
        tar -C "$tree" -x
}

install_compat() {
    local requirement
    local -a requirements
    local only_wheels=("$bin/pip" install -qq --only-binary=:all:)
    mapfile -t requirements < <("$bin/python" tools/requirements.py compat)
    : >"$venv/compat-missing"
    "${only_wheels[@]}" "${requirements[@]}" 2>/dev/null && return
    for requirement in "${requirements[@]}"; do
        "${only_wheels[@]}" "$requirement" 2>/dev/null ||
            echo "$requirement" >>"$venv/compat-missing"
    done
}

make_environment() {
    "$python" tools/preflight.py
    rm -rf "$venv"/{bin,lib,lib64,include,share,environment}
    "$python" -m venv "$venv"
    "$bin/pip" install -qq -e '.[test]'
    [[ $switches == *debug* ]] || install_compat
}

build_if_changed() {
    local module wanted
    local sources=(setup.py $(find csrc -name '*.[ch]' | sort))
    module=fastloop/_core.$("$python" -c "$soabi").so
    wanted=$(hash_of "${sources[@]}")
    if ! up_to_date "$venv/built" "$wanted $({ sha256sum <"$module"; } 2>/dev/null)"; then
        "$bin/python" setup.py -q build_ext --inplace
        echo "$wanted $(sha256sum <"$module")" >"$venv/built"
    fi
}
soabi='import sysconfig; print(sysconfig.get_config_var("SOABI"))'

prepare() {
    local wanted
    [ -z "$switches" ] || copy_checkout
    cd "$tree"
    wanted=$(hash_of pyproject.toml)
    if ! up_to_date "$venv/environment" "$wanted"; then
        make_environment
        echo "$wanted" >"$venv/environment"
    fi
    build_if_changed
    if [ -s "$venv/compat-missing" ]; then
        echo "on_python.sh: no wheels for $name of:" $(cat "$venv/compat-missing") >&2
    fi
}

run_command() {
    cd "$tree"
    export PATH=$bin:$PATH VIRTUAL_ENV=$venv
    if [[ $switches == *sanitize* ]]; then
        export PYTHONMALLOC=malloc
        # A size that cannot be had is a MemoryError, as without it.
        export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
        export UBSAN_OPTIONS=print_stacktrace=1
        LD_PRELOAD="$(gcc -print-file-name=libasan.so)"
        LD_PRELOAD+=" $(gcc -print-file-name=libubsan.so)"
        export LD_PRELOAD
    fi
    exec "$@"
}

beside_python() {
    mkdir -p "$venv"
    (
        flock 9
        prepare
    ) 9>"$checkout/.venvs/lock" </dev/null
    run_command "$@"
}

# --- main ---------------------------------------------------------------------

[ $# -gt 0 ] || fail "which Python? For example: tools/on_python.sh 3.13 pytest -x"
version=$1
shift
[[ $version =~ ^3\.[0-9]+d?$ ]] || fail "not a Python version: $version"
switches=$(switches)
name=$version$switches
venv=$checkout/.venvs/$name
bin=$venv/bin
tree=$checkout
[ -z "$switches" ] || tree=$venv/tree

[ $# -gt 0 ] || set -- python -m pytest
if [ "${FASTLOOP_IN_FORKY:-}" = 1 ] || python=$(find_python "$version"); then
    python=${python:-/usr/bin/python$version}
    beside_python "$@"
fi
case $version in
3.14* | 3.15*)
    FASTLOOP_IN_FORKY=1 exec "$checkout/tools/forky.sh" \
        "$checkout/tools/on_python.sh" "$version" "$@"
    ;;
*)
    status=$no_such_python fail "there is no Python $version on this machine."
    ;;
esac
