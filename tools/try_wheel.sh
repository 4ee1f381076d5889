#!/usr/bin/env bash
# Make a source distribution of this checkout, a wheel of that, as it is released, and
# try it where no checkout is near:
#
#     tools/try_wheel.sh [PYTHON]
#
# PYTHON has setuptools and runs all of it (python3 if none is named). The tests that
# run are those of the source distribution, on the installed wheel.
set -euo pipefail

python=$("${1:-python3}" -c 'import sys; print(sys.executable)')
checkout=$(cd "$(dirname "$0")/.." && pwd -P)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$checkout"

# The linker's flags of the wheels that are released.
LDFLAGS=$("$python" - <<'PY'
import tomllib
with open("pyproject.toml", "rb") as file:
    print(tomllib.load(file)["tool"]["cibuildwheel"]["environment"]["LDFLAGS"])
PY
)
export LDFLAGS

echo "--- source distribution"
# Of a copy, for it is laid out where setup.py lies, and others may be reading there.
mkdir "$folder/copy"
tar -c --exclude-vcs --exclude={./build,./.venv,./.venvs,./.forky} \
    --exclude={*.so,*.egg-info,__pycache__,.hypothesis,'.*_cache'} . |
    tar -C "$folder/copy" -x
cd "$folder/copy"
"$python" setup.py -q sdist --dist-dir "$folder" 2>&1 |
    { grep -v "no previously-included" || true; }
echo "--- wheel"
"$python" -m pip -q wheel --no-deps --wheel-dir "$folder" "$folder"/*.tar.gz
ls "$folder"/*.whl | xargs -n 1 basename
echo "--- installed"
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install "$(echo "$folder"/*.whl)[test]"

tar -C "$folder" -xf "$folder"/*.tar.gz
cd "$folder"/asyncio_fastloop-*/
# What the tests import must be the installed one.
rm -r fastloop
"$folder/venv/bin/python" tools/check_installed.py
"$folder/venv/bin/python" -m pytest -q tests/doors/test_{choosing,run_as_python}.py \
    tests/core/test_run.py tests/net/test_stream_transport.py
