"""Runs one of programs/ on a loop of either kind: python run_program.py KIND NAME

Prints the JSON of {"loop": where the loop's class is, "task": where the task's is,
"answer": what came of it}. A program has `async def main()`, or `start(loop_factory)`
if it chooses its loop by a setting of the package's own; either returns what here()
said in the package's handler, and an answer.
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
        classes, answer = program.start(factory)
    else:
        with asyncio.Runner(loop_factory=factory) as runner:
            classes, answer = runner.run(program.main())
    loop, task = (kind and f"{kind.__module__}.{kind.__qualname__}" for kind in classes)
    print(json.dumps({"loop": loop, "task": task, "answer": answer}))


if __name__ == "__main__":
    main()
