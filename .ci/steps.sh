# What .ci/run and .ci/deep share: a step has a time limit, its output stays in a file
# and its end is shown, the more of it when it failed. To be sourced, with budget_s set.

shared=../shared

export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1
# Every build below takes warnings for errors.
export FASTLOOP_WERROR=1

logs=build/ci/$(basename "$0")
rm -rf "$logs"
mkdir -p "$logs"
: >"$logs/failures" >"$logs/timings" >"$logs/stumbles"

failed() {
    echo "FAILED  $*" >>"$logs/failures"
}

# step NAME MINUTES COMMAND ...: run it, keep its output, remember how it ended.
step() {
    local name=$1 limit_s=$(($2 * 60)) start=$SECONDS status
    local left_s=$((budget_s - SECONDS))
    shift 2
    if [ "$left_s" -lt 60 ]; then
        failed "$name: not run, the time is up"
        return 1
    fi
    [ "$limit_s" -lt "$left_s" ] || limit_s=$left_s
    timeout --kill-after=10 "$limit_s" "$@" >"$logs/$name.log" 2>&1
    status=$?
    if [ "$status" -ne 0 ] && few_failed "$name" && passes_again "$name" "$@"; then
        status=0
    fi
    # Not while it runs: a pipe would be waited for as long as any descendant has it.
    printf '\n=== %s (from %s to %s min)\n%s\n' "$name" $((start / 60)) \
        $((SECONDS / 60)) "$(tail -n $((status == 0 ? 12 : 150)) "$logs/$name.log")"
    printf '%5d s  %s\n' $((SECONDS - start)) "$name" >>"$logs/timings"
    case $status in
    0) return 0 ;;
    69) failed "$name: no such Python" ;;
    124 | 137) failed "$name: stopped after $limit_s s" ;;
    *) failed "$name: exit status $status" ;;
    esac
    return 1
}

# pytest_of NAME: a pytest that remembers apart from others what failed.
pytest_of() {
    echo -m pytest -o "cache_dir=$logs/cache-$1"
}

# Whether the step ended as a pytest does of which no more than three tests failed.
few_failed() {
    tail -n 3 "$logs/$1.log" | grep -aqE '^=+ [1-3] failed, [^,]*passed' &&
        ! tail -n 3 "$logs/$1.log" | grep -aqE '[0-9] errors?\b'
}

# A shared machine may hold a test up past its time; a fault of ours stays.
passes_again() {
    local name=$1 only=--last-failed
    shift
    [ "$1" != make ] || only="PYTEST=$only"
    timeout --kill-after=10 600 "$@" "$only" >"$logs/$name.again.log" 2>&1 || return
    grep -aoE '^FAILED [^ ]+' "$logs/$name.log" |
        sed "s/^FAILED /$name: /" >>"$logs/stumbles"
    printf '\n=== %s, what failed again\n%s\n' "$name" "$(tail -n 1 "$logs/$name.again.log")"
}

# The last line of a step that counts tests: pytest's, unittest's kin, the oracles'.
count() {
    local line
    line=$(grep -aoE '[0-9]+ (passed|failed|error).*' "$logs/$1.log" 2>/dev/null |
        tail -n 1 | sed -E 's/ in [0-9.]+s.*//; s/ =+$//; s/, [0-9]+ warnings?//')
    echo "${line:-nothing ran}"
}

# What a Python did not run, and why: how often each reason is given.
passed_over() {
    sed -nE -e 's/^SKIPPED \[([0-9]+)\] [^ ]+: (.*)/\1 skipped: \2/p' \
        -e 's/^XFAIL .*\] - (.*)/1 known to fail: \1/p' \
        -e 's/^ +left out: ([0-9]+) of (.*)/\1 left out: \2/p' \
        "$logs/tests-$1.log" 2>/dev/null |
        awk '{ n = $1; $1 = ""; sum[$0] += n }
            END { for (why in sum) printf "%6d%s\n", sum[why], why }' |
        sort -k 2,2 -k 1,1nr
}

# The line of a step's log that has this in it.
said() {
    grep -aE "$2" "$logs/$1.log" 2>/dev/null || echo "nothing ran"
}

install_packages() {
    local wanted=(gcc libc6-dev make binutils debootstrap)
    local missing=() package
    command -v dpkg-query >/dev/null || return 0
    for package in "${wanted[@]}" "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null |
            grep -q 'ok installed' || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        apt-get update -qq &&
            start_no_services apt-get install -qqy --no-install-recommends "${missing[@]}"
    fi
}

# The tests start the servers that they want, at ports of their own.
start_no_services() {
    local policy=/usr/sbin/policy-rc.d status=0
    [ ! -e "$policy" ] || { "$@"; return; }
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    "$@" || status=$?
    rm -f "$policy"
    return "$status"
}
export -f install_packages start_no_services

summary() {
    echo
    echo "=== what took how long"
    cat "$logs/timings"
    echo
    "$@"
    [ -d "$shared" ] || echo "The oracles of $shared were not there."
    if [ -s "$logs/stumbles" ]; then
        echo "=== failed at first, passed when run again"
        cat "$logs/stumbles"
    fi
    echo "=== $((SECONDS / 60)) min $((SECONDS % 60)) s in all"
    if [ -s "$logs/failures" ]; then
        cat "$logs/failures"
        return 1
    fi
    echo "all green"
}

# random_programs N DEAR: the commands that run N of each kind, or DEAR of the dear ones.
random_programs() {
    local n=$1 dear=$2
    cat <<COMMANDS
set -e
python -m tests.c.models --programs $((n / 5))
python -m tests.core.random_programs --programs $n
python -m tests.core.random_programs --nested --programs $dear
python -m tests.net.random_streams --programs $n
python -m tests.net.random_datagrams --programs $n
python -m tests.net.random_pipes --programs $n
python -m tests.net.random_tls --programs $dear
python -m tests.aio.random_locks --programs $dear
python -m tests.aio.random_waits --programs $dear
python -m tests.aio.random_queues --programs $dear
python -m tests.aio.random_streams --programs $dear
python -m tests.aio.random_groups --programs $dear
COMMANDS
}
