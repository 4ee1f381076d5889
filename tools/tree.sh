# What tools/forky.sh and tools/arm64.sh share: a tree of another Debian is made on the
# first call and kept, and a command runs in it. To be sourced, with $home, where the
# tree lies, and $packages, what it has.
#
# The command runs in the current directory: the checkout is seen under the path it has
# outside. Mounts live in a name space of the command's own and end with it.
#
# The Debian mirror is the one this machine's apt uses (or FASTLOOP_MIRROR).

checkout=$(cd "$(dirname "$0")/.." && pwd -P)
root=$home/root

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

list_mirrors() {
    local lists='$(ORIGIN)/$(LABEL) $(REPO_URI)'
    apt-get indextargets --format "$lists" 'Created-By: Packages' |
        sed -n 's|^Debian/Debian \(https\{0,1\}://.*\)|\1|p' | head -n 1
}

find_mirror() {
    local mirror=${FASTLOOP_MIRROR:-$(list_mirrors)}
    if [ -z "$mirror" ]; then
        apt-get update -qq >&2
        mirror=$(list_mirrors)
    fi
    [ -n "$mirror" ] || fail "apt knows no Debian mirror; set FASTLOOP_MIRROR."
    echo "$mirror"
}

# What makes trees fetches without reading apt's settings.
use_apt_proxy() {
    local proxy
    proxy=$(apt-config dump --format '%v' Acquire::http::Proxy)
    if [ -n "$proxy" ] && [ "$proxy" != DIRECT ]; then
        export http_proxy=$proxy
    fi
}

# wanted COMMAND PACKAGE ...: install the packages if there is no such command.
wanted() {
    if ! command -v "$1" >/dev/null; then
        apt-get update -qq
        apt-get install -qqy --no-install-recommends "${@:2}"
    fi
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

# make_once FUNCTION: it makes $root.new, which takes the place of the tree if that has
# other packages than are asked for.
make_once() {
    mkdir -p "$home"
    (
        flock 9
        [ "$(cat "$root/.packages" 2>/dev/null)" != "$packages" ] || exit 0
        command -v apt-get >/dev/null || fail "needs a Debian machine: no apt-get here."
        use_apt_proxy
        rm -rf --one-file-system "$root.new" "$root"
        "$1"
        echo "$packages" >"$root.new/.packages"
        mv "$root.new" "$root"
    ) 9>"$home/lock" </dev/null >&2
}

enter() {
    unshare --mount --propagation private bash "$0" --mounted "$@"
}

[ "$(id -u)" = 0 ] || fail "making a tree and chroot need root."
if [ "${1:-}" = --mounted ]; then
    shift
    mount_and_run "$@"
fi
