"""Runs one of programs/ on a loop: python run_program.py KIND NAME [JSON]

Prints the JSON of {"loop": where the loop's class is, "task": where the task's is,
"lock": where asyncio.Lock is, "answer": what came of it}. A program has
`async def main()`, or `start(loop_factory)` if it chooses its loop by a setting of the
package's own; either returns what here() said in the package's handler, and an answer.
JSON is of the keyword arguments of main, where it has any.
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
    kind, name, *settings = sys.argv[1:]
    factory = loop_factory_of(kind)  # first: it may put helpers in asyncio's place
    program = importlib.import_module(f"programs.{name}")
    if hasattr(program, "start"):
        classes, answer = program.start(factory)
    else:
        with asyncio.Runner(loop_factory=factory) as runner:
            arguments = json.loads(settings[0]) if settings else {}
            classes, answer = runner.run(program.main(**arguments))
    loop, task = (kind and f"{kind.__module__}.{kind.__qualname__}" for kind in classes)
    said = {"loop": loop, "task": task, "lock": asyncio.Lock.__module__}
    print(json.dumps({**said, "answer": answer}))


if __name__ == "__main__":
    main()
