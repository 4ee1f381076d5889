# What scripts ask of Debian. To be sourced.
#
# The mirror is the one this machine's apt uses (or FASTLOOP_MIRROR).

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
