#!/usr/bin/env bash
# Run a command in a tree of Debian forky, which has CPython 3.14 and 3.15:
#
#     tools/forky.sh [COMMAND ...]
#
# The tree is made on the first call and kept (in .forky, or where FASTLOOP_FORKY
# points, so that several checkouts can share one); without a command that is all.
# The command runs in the current directory: the checkout is seen under the path
# it has outside. Mounts live in a name space of the command's own and end with it.
#
# The Debian mirror is the one this machine's apt uses (or FASTLOOP_MIRROR).
set -euo pipefail

checkout=$(cd "$(dirname "$0")/.." && pwd -P)
home=${FASTLOOP_FORKY:-$checkout/.forky}
root=$home/root

packages="ca-certificates gcc libc6-dev make valgrind"
for version in 3.14 3.15; do
    packages+=" python$version-dev python$version-venv python$version-dbg"
    packages+=" libpython$version-testsuite"
done

fail() {
    echo "forky.sh: $*" >&2
    exit 1
}

find_mirror() {
    local lists='$(ORIGIN)/$(LABEL) $(REPO_URI)'
    apt-get indextargets --format "$lists" 'Created-By: Packages' |
        sed -n 's|^Debian/Debian \(https\{0,1\}://.*\)|\1|p' | head -n 1
}

# debootstrap fetches with wget, which does not read apt's settings.
use_apt_proxy() {
    local proxy
    proxy=$(apt-config dump --format '%v' Acquire::http::Proxy)
    if [ -n "$proxy" ] && [ "$proxy" != DIRECT ]; then
        export http_proxy=$proxy
    fi
}

make_tree() {
    command -v apt-get >/dev/null || fail "needs a Debian machine: no apt-get here."
    use_apt_proxy
    if ! command -v debootstrap >/dev/null; then
        apt-get update -qq
        apt-get install -qqy --no-install-recommends debootstrap debian-archive-keyring
    fi
    local mirror=${FASTLOOP_MIRROR:-$(find_mirror)}
    if [ -z "$mirror" ]; then
        apt-get update -qq
        mirror=$(find_mirror)
    fi
    [ -n "$mirror" ] || fail "apt knows no Debian mirror; set FASTLOOP_MIRROR."
    rm -rf --one-file-system "$root.new" "$root"
    # An older debootstrap has no script named forky; sid's does the same.
    echo "forky.sh: making the tree, which takes a minute or two" >&2
    debootstrap --variant=minbase --include="${packages// /,}" \
        forky "$root.new" "$mirror" sid >"$home/log" 2>&1 ||
        fail "debootstrap failed: $(tail -n 1 "$home/log"), see $home/log"
    echo "$packages" >"$root.new/.packages"
    mv "$root.new" "$root"
}

# Every path that pip's settings name on this machine: indexes on disk,
# certificates. An index refers to files beside it, hence its parent.
pip_paths() {
    local files=(/etc/pip.conf "$HOME/.pip/pip.conf" "$HOME/.config/pip/pip.conf")
    [ -z "${PIP_CONFIG_FILE:-}" ] || files+=("$PIP_CONFIG_FILE")
    printf '%s\n' "${files[@]}"
    {
        cat "${files[@]}" 2>/dev/null || true
        env | grep -E '^(PIP_.*|SSL_CERT_.*|.*_CA_BUNDLE)=' || true
    } | tr ' =,' '\n\n\n' | sed -nE 's|^file://(/.*)/[^/]+/?$|\1|p; /^\/./p'
}

bind() {
    local target=$root$1
    if [ -d "$1" ]; then
        mkdir -p "$target"
    else
        mkdir -p "$(dirname "$target")"
        [ -e "$target" ] || touch "$target"
    fi
    mount --bind "$1" "$target"
}

mount_and_run() {
    local path
    for path in /proc /dev; do
        mount --rbind "$path" "$root$path"
    done
    for path in /etc/resolv.conf $(pip_paths | sort -u); do
        if [ -e "$path" ] && [ "$path" != /dev/null ]; then
            bind "$path"
        fi
    done
    bind "$checkout"
    if [ -d "$checkout/../shared" ]; then
        bind "$(cd "$checkout/../shared" && pwd -P)"
    fi
    local directory=$PWD
    [ -d "$root$directory" ] || directory=/
    exec chroot "$root" /usr/bin/env -C "$directory" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

enter() {
    unshare --mount --propagation private bash "$0" --mounted "$@"
}

[ "$(id -u)" = 0 ] || fail "debootstrap and chroot need root."
if [ "${1:-}" = --mounted ]; then
    shift
    mount_and_run "$@"
fi
mkdir -p "$home"
(
    flock 9
    if [ "$(cat "$root/.packages" 2>/dev/null)" != "$packages" ]; then
        make_tree
    fi
) 9>"$home/lock" </dev/null >&2
if [ $# -gt 0 ]; then
    enter "$@"
fi
