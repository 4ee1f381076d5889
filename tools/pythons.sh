# Finding the Pythons of this machine. To be sourced.

# A pyenv shim is on the PATH for every version, but works for the chosen one only.
candidates() {
    type -ap "python$1" || true
    if command -v pyenv >/dev/null; then
        printf '%s\n' "$(pyenv root)"/versions/*/bin/"python$1"
    fi
}

# find_python 3.14 or 3.14d, the debug build: print its path. Some installations, pyenv's
# among them, call the debug build python3.14 as well.
find_python() {
    local python
    while read -r python; do
        if "$python" -c "$is_version" "$1" 2>/dev/null; then
            echo "$python"
            return
        fi
    done < <(candidates "$1")
    return 1
}
is_version='
import sys, sysconfig
name = "%d.%d" % sys.version_info[:2] + "d" * hasattr(sys, "gettotalrefcount")
free_threaded = sysconfig.get_config_var("Py_GIL_DISABLED")
sys.exit(free_threaded or name != sys.argv[1])
'
