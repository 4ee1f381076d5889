"""Run one case on one loop in this process and print the result as JSON.

    python benchmarks/child.py LOOP CASE [N]

Prints `{"value": ...}` on the last line, or `{"reason": ...}` where the case cannot
be done on that loop.
"""

import functools
import json
import sys

from loops import new_loop
from scenarios import CASES, Env, NotAvailable


def run(loop_name: str, case_name: str, n: int | None) -> dict:
    """The result of one case, as it is printed."""
    case = CASES[case_name]
    if sys.version_info[:2] < case.min_python:
        return {"reason": "needs Python {}.{}".format(*case.min_python)}
    env = Env(loop_name, functools.partial(new_loop, loop_name))
    try:
        return {"value": case.run(env, n or case.n)}
    except NotAvailable as error:
        return {"reason": str(error)}
    except Exception as error:
        text = str(error).partition("\n")[0]
        return {"reason": f"{type(error).__name__}: {text}"[:120].rstrip(": ")}


def main(argv: list[str]) -> int:
    """Run the case named on the command line."""
    if len(argv) not in (2, 3) or argv[1] not in CASES:
        print(__doc__, file=sys.stderr)
        return 2
    result = run(argv[0], argv[1], int(argv[2]) if len(argv) == 3 else None)
    print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
