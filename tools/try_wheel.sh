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
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$(dirname "$0")/.."
. tools/wheel_steps.sh

export LDFLAGS=$released_ldflags

echo "--- source distribution"
make_sdist "$python" "$folder"
cd "$folder"
echo "--- wheel"
"$python" -m pip -q wheel --no-deps --wheel-dir "$folder" "$folder"/*.tar.gz
ls "$folder"/*.whl | xargs -n 1 basename
echo "--- installed"
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install "$(echo "$folder"/*.whl)[test]"
try_installed "$folder" "$folder/venv/bin/python"
