#!/usr/bin/env bash
# Run random programs on base/ and os/ against the models of tests/c/fuzz_*.c, with
# ASan and UBSan: by libFuzzer if clang has it, or else blindly, from random bytes.
#
#     tools/fuzz_floors.sh [SECONDS] [SEED]
#
# The seconds, 30 if none are named, are for all harnesses together. What libFuzzer
# found worth keeping stays in build/fuzz/ and is where the next run begins; so does a
# program that failed, whose file is named. With FASTLOOP_FUZZ_COVERAGE=1 all that was
# kept is run once more, and the lines of C that it reached are counted.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-30}
seed=${2:-$RANDOM}
harnesses=(ring timers poller)
folder=build/fuzz
mkdir -p "$folder"

sources=(csrc/base/*.c csrc/os/*.c)
options=(-std=c11 -D_GNU_SOURCE -g -O1 -Icsrc -Itests/c -Wall -Wextra)
sanitize=(-fsanitize=address,undefined -fno-sanitize-recover=undefined)
driver=()
cc=gcc
if echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
    clang -x c - -fsanitize=fuzzer,address,undefined -o "$folder/nothing" 2>/dev/null; then
    cc=clang
    sanitize+=(-fsanitize=fuzzer)
else
    driver=(tests/c/fuzz_main.c)
fi

build() {
    "$cc" "${options[@]}" "${sanitize[@]}" "tests/c/fuzz_$1.c" "${driver[@]}" \
        "${sources[@]}" -lm -lpthread -o "$folder/$1"
}

fuzz() {
    local log=$folder/$1.log limits=()
    local corpus=()
    mkdir -p "$folder/$1.kept"
    if [ "$cc" = clang ]; then
        limits=(-max_len=2048 -timeout=20 "-artifact_prefix=$folder/$1-failed-")
        corpus=("$folder/$1.kept")
    fi
    if ! "$folder/$1" "-max_total_time=$((seconds / ${#harnesses[@]}))" \
        "-seed=$seed" "${limits[@]}" "${corpus[@]}" >"$log" 2>&1; then
        tail -n 40 "$log"
        echo "FAILED  $1, seed $seed"
        return 1
    fi
    echo "$1: $(grep -aE '^Done' "$log" | tail -n 1), seed $seed, $cc," \
        "$(grep -aoE 'cov: [0-9]+' "$log" | tail -n 1 | sed 's/^$/no coverage/')"
}

# gcc's count of lines, of the programs that were kept.
cover() {
    local name
    rm -rf "$folder/coverage"
    mkdir -p "$folder/coverage"
    for name in "${harnesses[@]}"; do
        gcc "${options[@]}" -O0 --coverage -dumpdir "$folder/coverage/$name-" \
            "tests/c/fuzz_$name.c" tests/c/fuzz_main.c "${sources[@]}" \
            -lm -lpthread -o "$folder/coverage/$name"
        find "$folder/$name.kept" -type f -print0 |
            xargs -0 -r "$folder/coverage/$name" 2>/dev/null
    done
    (cd "$folder/coverage" && gcov -n -- *.gcda) |
        awk '/^File .csrc\/.*\.c/ { file = $2; getline; print file, $0 }' | sort
}

failed=0
for name in "${harnesses[@]}"; do
    build "$name"
    fuzz "$name" || failed=1
done
[ "${FASTLOOP_FUZZ_COVERAGE:-0}" = 0 ] || cover
exit "$failed"
