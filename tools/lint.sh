#!/usr/bin/env bash
# All that can be checked without running fastloop, the quick checks first. Wants the
# group lint on the PATH and fastloop built for that Python. Names every failure.
set -uo pipefail
cd "$(dirname "$0")/.."

failed=()
check() {
    local name=$1
    shift
    echo "--- $name"
    "$@" || failed+=("$name")
}

mapfile -t c_files < <(find csrc tests -name '*.[ch]' | sort)
mapfile -t scripts < <(find tools -name '*.sh' | sort)

# The count of warnings in system headers, which are not shown, is no news.
tidy() {
    python tools/compile_commands.py || return
    find csrc -name '*.c' -print0 | sort -z |
        xargs -0 -P "$(nproc)" -n 4 clang-tidy --quiet -p . 2>&1 |
        grep -vE '^[0-9]+ warnings? (generated|treated)|^\[[0-9]+/[0-9]+\]|^$'
    return "${PIPESTATUS[2]}"
}

parse_scripts() {
    local script
    for script in "${scripts[@]}" .ci/*; do
        bash -n "$script" || return
    done
}

# typeshed says other things of each Python.
types() {
    local python
    for python in 3.11 3.13 3.15; do
        mypy --python-version "$python" || return
    done
}

check "floors" python tools/check_layers.py
check "wings" python tools/check_wings.py
check "faults" python tools/check_faults.py
check "stores" python tools/check_stores.py
check "file sizes" python tools/check_sizes.py
check "words" python tools/check_words.py
check "shell scripts" parse_scripts
check "ruff check" ruff check -q .
check "ruff format" ruff format -q --check .
check "clang-format" clang-format --dry-run --Werror "${c_files[@]}"
check "function sizes of C" lizard -w -L 49 -C 20 csrc
check "function sizes" lizard -w -L 80 -C 20 fastloop tools benchmarks tests \
    examples setup.py -x '*/.venv*'
check "mypy" types
check "stubtest" python -m mypy.stubtest fastloop --ignore-unused-allowlist \
    --mypy-config-file pyproject.toml --allowlist tools/stubtest-allowlist.txt
check "clang-tidy" tidy

if [ ${#failed[@]} -gt 0 ]; then
    printf 'lint failed:'
    printf ' %s;' "${failed[@]}"
    echo
    exit 1
fi
echo "lint: all clean"
