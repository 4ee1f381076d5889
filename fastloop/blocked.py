"""python -m fastloop.blocked PID: what blocks the loop of that process, now."""

import json
import sys
import time
from typing import Any

from . import _inquiry


def main(words: list[str] | None = None) -> int:
    """Print it. Return the exit code: 0 if something blocks, 1 if nothing does."""
    parser = _inquiry.parser("blocked", "What blocks the loop of a process, now.")
    parser.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="for the next block"
    )
    options = parser.parse_args(words)
    return _inquiry.run(lambda: _tell(options.pid, options.wait, options.json))


def _tell(pid: int, wait_s: float, as_json: bool) -> int:
    answer, blocks = look(pid, wait_s)
    if as_json:
        print(json.dumps({"pid": pid, **answer, "loops": blocks}))
    elif blocks:
        print("\n".join(map(_inquiry.shown, blocks)))
    else:
        print(f"no step of process {pid} is over {answer['limit_s']:g} s")
    return 0 if blocks else _inquiry.NOTHING


def look(pid: int, wait_s: float = 0.0) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return an answer and its blocks, the first within so many seconds."""
    end = time.monotonic() + wait_s
    again = 3
    while True:
        is_over = time.monotonic() >= end
        try:
            answer = _inquiry.ask(pid, "b")
        except _inquiry.Refusal as refusal:
            # it may have just begun
            if is_over or refusal.code not in (_inquiry.NO_FASTLOOP, _inquiry.NO_WATCH):
                raise
        else:
            blocks = _inquiry.blocks(pid, answer)
            again -= any(not one["stack"] for one in blocks)
            # one that was about to give the GIL up can be asked a moment later
            if again == 0 or (
                all(one["stack"] for one in blocks) and (blocks or is_over)
            ):
                return answer, blocks
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
