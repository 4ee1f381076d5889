"""Runs one of programs/ on a loop of either kind: python run_program.py KIND NAME

Prints the JSON of {"loop": where the loop's class is, "answer": what came of it}. A
program has `async def main()`, or `start(loop_factory)` if it chooses its loop by a
setting of the package's own; either returns the class of the loop that was running
in the package's handler, and an answer.
"""

import asyncio
import importlib
import json
import sys


def loop_factory_of(kind):
    if kind == "asyncio":
        return asyncio.SelectorEventLoop
    import fastloop

    return fastloop.new_event_loop


def main():
    kind, name = sys.argv[1:]
    program = importlib.import_module(f"programs.{name}")
    factory = loop_factory_of(kind)
    if hasattr(program, "start"):
        loop_class, answer = program.start(factory)
    else:
        with asyncio.Runner(loop_factory=factory) as runner:
            loop_class, answer = runner.run(program.main())
    where = f"{loop_class.__module__}.{loop_class.__qualname__}"
    print(json.dumps({"loop": where, "answer": answer}))


if __name__ == "__main__":
    main()
