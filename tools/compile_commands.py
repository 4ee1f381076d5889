"""Write compile_commands.json, for clangd and clang-tidy.

Run it with the Python that fastloop is built for, setuptools installed.
"""

import json
import sys
import sysconfig

from project_files import ROOT

sys.path.insert(0, str(ROOT))

import setup


def main() -> None:
    """Write one entry a source file, with the flags setup.py builds it with.

    Without those that clang does not have.
    """
    compile_flags, _ = setup.flags()
    flags = [flag for flag in compile_flags if flag not in setup.BRANCHY]
    command = [
        "cc",
        "-D_GNU_SOURCE=1",
        "-Icsrc",
        f"-I{sysconfig.get_path('include')}",
        *flags,
        "-c",
    ]
    entries = [
        {"directory": str(ROOT), "file": path, "arguments": [*command, path]}
        for path in setup.source_paths()
    ]
    text = json.dumps(entries, indent=1)
    (ROOT / "compile_commands.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
