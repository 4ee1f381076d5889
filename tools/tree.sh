# What tools/forky.sh and tools/arm64.sh share: a tree of another Debian is made on the
# first call and kept, and a command runs in it. To be sourced, with $home, where the
# tree lies, and $packages, what it has.
#
# The command runs in the current directory: the checkout is seen under the path it has
# outside. Mounts live in a name space of the command's own and end with it.

checkout=$(cd "$(dirname "$0")/.." && pwd -P)
root=$home/root

. "$checkout/tools/debian.sh"

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
