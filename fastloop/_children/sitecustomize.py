"""Has a Python child of `python -m fastloop --children` on fastloop, too.

That put this folder at the front of PYTHONPATH, so Python's `site` imports this, and it
goes on to what `site` would have imported. Any Python may: old ones must understand it.
"""

import os
import sys

folder = os.path.dirname(__file__)
sys.path[:] = [path for path in sys.path if path != folder]
sys.path_importer_cache.pop(folder, None)

if sys.version_info >= (3, 11) and os.environ.get("FASTLOOP_CHILDREN"):
    package = os.path.dirname(folder)
    # not `import fastloop`, which imports asyncio: few children may want that
    sys.path.insert(0, package)
    imports = __import__("_imports")
    sys.path.remove(package)
    del sys.modules["_imports"]
    imports.open_door_with_asyncio(os.path.dirname(package))

del sys.modules["sitecustomize"]
import sitecustomize  # type: ignore[import-not-found] # noqa: E402, F401
