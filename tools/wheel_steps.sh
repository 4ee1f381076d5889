# What tools/try_wheel.sh, tools/wheels.sh and tools/arm64.sh share. To be sourced.

# The linker's flags of the wheels that are released: the names of functions would be a
# tenth of the size; a build from source has them.
released_ldflags=-Wl,--strip-all

# What zig is told beside what setup.py says: with optimisation across files its code is
# as fast as gcc's, and smaller.
zig_package=ziglang==0.17.1
zig_cflags="-DNDEBUG -fno-strict-overflow -flto -w"
zig_ldflags="-flto -O3"

# make_sdist PYTHON FOLDER: leave a source distribution there of the checkout, where this
# runs. Of a copy, for it is laid out where setup.py lies, and others may be reading there.
make_sdist() {
    mkdir "$2/copy"
    tar -c --exclude-vcs --exclude={./build,./.venv,./.venvs,./.forky} \
        --exclude={*.so,*.egg-info,__pycache__,.hypothesis,'.*_cache'} . |
        tar -C "$2/copy" -x
    (
        cd "$2/copy"
        "$1" setup.py -q sdist --dist-dir "$2" 2>&1 |
            { grep -v "no previously-included" || true; }
    )
    rm -rf "$2/copy"
}

# try_installed FOLDER COMMAND ...: check fastloop as the Python of this command has it
# installed, and run tests of the source distribution that lies in the folder on it.
try_installed() {
    local folder=$1
    shift
    tar -C "$folder" -xf "$folder"/*.tar.gz
    (
        cd "$folder"/asyncio_fastloop-*/
        # What the tests import must be the installed one.
        rm -r fastloop
        "$@" tools/check_installed.py
        "$@" -m pytest -q tests/core/test_run.py tests/net/test_stream_transport.py
        # These run programs that see no PYTHONPATH.
        [ -n "${by_path:-}" ] ||
            "$@" -m pytest -q tests/doors/test_{choosing,run_as_python}.py
    )
    rm -rf "$folder"/asyncio_fastloop-*/
}
