"""The loops that are compared, and how each is made."""

import asyncio
import importlib

# name -> (module, callable that makes a loop)
LOOPS = {
    "asyncio": ("asyncio", "SelectorEventLoop"),
    "uvloop": ("uvloop", "new_event_loop"),
    "rloop": ("rloop", "new_event_loop"),
    "zuvloop": ("zuvloop", "new_event_loop"),
    "rsloop": ("rsloop", "new_event_loop"),
    "blazio": ("blazio", "new_event_loop"),
    "fastloop": ("fastloop", "new_event_loop"),
    # A package that puts transports of its own over a loop; of benchmarks/tls.py.
    "aiofastnet": ("aiofastnet", "uvloop"),
    "aiofastnet_fastloop": ("aiofastnet", "fastloop"),
}

# What is measured beside the loops where a case has it: `accelerated` is fastloop with
# asyncio's helpers in C too, `limit` a server in C that only echoes, `apart` one that
# sends each message by itself, `floor` one that calls the Protocol or the handler of
# streams in Python.
ACCELERATED = "accelerated"
REFERENCES = (ACCELERATED, "limit", "apart", "floor")

# Which peers exist for which Python; the requirements files hold their versions.
PEERS = {
    "3.11": ("uvloop", "rloop"),
    "3.12": ("uvloop", "rloop"),
    "3.13": ("uvloop", "rloop"),
    "3.14": ("uvloop", "rloop", "zuvloop", "rsloop", "blazio"),
}


def module_of(name: str) -> str:
    """The package that a loop's name stands for."""
    return LOOPS["fastloop" if name == ACCELERATED else name][0]


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    """A new loop of that name; ACCELERATED's replaces asyncio's helpers first."""
    if name == ACCELERATED:
        name = "fastloop"
        importlib.import_module(name).accelerate()
    module, maker = LOOPS[name]
    if module == "aiofastnet":
        import aiofastnet

        return aiofastnet.loop_factory(lambda: new_loop(maker))()
    return getattr(importlib.import_module(module), maker)()
