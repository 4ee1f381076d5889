"""Async generators: closed by the loop when nobody else does."""

import asyncio
import gc
import sys

import pytest

from tests.support import until


def make(seen):
    async def numbers():
        try:
            while True:
                yield len(seen)
        finally:
            await asyncio.sleep(0)
            seen.append("closed")

    return numbers()


def test_a_dropped_generator_is_closed_by_the_loop(run):
    async def main():
        seen = []
        generator = make(seen)
        await anext(generator)
        del generator
        gc.collect()
        await until(lambda: seen == ["closed"])

    run(main())


def test_dropped_in_another_thread(run):
    async def main():
        seen = []
        holder = [make(seen)]
        await anext(holder[0])
        await asyncio.to_thread(lambda: (holder.clear(), gc.collect()))
        await until(lambda: seen == ["closed"])

    run(main())


def test_shutdown_closes_those_still_open(loop):
    seen = []
    generators = [make(seen) for _ in range(3)]

    async def main():
        for generator in generators:
            await anext(generator)
        await loop.shutdown_asyncgens()

    loop.run_until_complete(main())
    assert seen == ["closed"] * 3


def test_a_generator_that_raises_while_it_closes(loop):
    contexts = []
    loop.set_exception_handler(lambda loop, context: contexts.append(context))

    async def numbers():
        try:
            yield 1
        finally:
            raise ValueError("while closing")

    async def main():
        generator = numbers()
        await anext(generator)
        await loop.shutdown_asyncgens()
        return repr(generator)

    text = loop.run_until_complete(main())
    [context] = contexts
    assert context["message"] == (
        f"an error occurred during closing of asynchronous generator {text}"
    )
    assert str(context["exception"]) == "while closing"
    assert "asyncgen" in context
    contexts.clear()


def test_a_generator_started_after_shutdown_warns(loop):
    seen = []

    async def main():
        await loop.shutdown_asyncgens()
        generator = make(seen)
        with pytest.warns(ResourceWarning, match="was scheduled after"):
            await anext(generator)
        await generator.aclose()

    loop.run_until_complete(main())
    assert seen == ["closed"]


def test_the_hooks_are_the_loops_and_restored(loop):
    def firstiter(generator):
        pass

    def finalizer(generator):
        pass

    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter, finalizer)
    try:
        hooks = []
        loop.call_soon(lambda: hooks.append(sys.get_asyncgen_hooks()))
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert hooks[0].firstiter is not firstiter
        assert hooks[0].finalizer is not finalizer
        assert sys.get_asyncgen_hooks() == (firstiter, finalizer)
    finally:
        sys.set_asyncgen_hooks(*before)


def test_the_hooks_are_restored_after_an_error(loop):
    before = sys.get_asyncgen_hooks()

    async def main():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(main())
    assert sys.get_asyncgen_hooks() == before


def test_a_generator_of_a_closed_loop(loop, unraisable):
    """Dropped after the loop was closed: it cannot finish, and says so."""
    seen = []
    generator = make(seen)
    loop.run_until_complete(anext(generator))
    loop.close()
    del generator
    gc.collect()
    assert seen == []
    [report] = unraisable.take()
    assert report.startswith("RuntimeError: async generator ignored GeneratorExit")


def test_the_hook_methods_can_be_overridden(loop):
    started, finished = [], []

    class Mine(type(loop)):
        def _asyncgen_firstiter_hook(self, agen):
            started.append(agen.__name__)
            super()._asyncgen_firstiter_hook(agen)

        def _asyncgen_finalizer_hook(self, agen):
            finished.append(agen.__name__)
            super()._asyncgen_finalizer_hook(agen)

    mine = Mine()
    seen = []

    async def main():
        generator = make(seen)
        await anext(generator)
        del generator
        gc.collect()
        await until(lambda: seen == ["closed"])

    mine.run_until_complete(main())
    mine.close()
    assert started == finished == ["numbers"]


def test_an_async_generator_in_use(run):
    async def ticker(n):
        for i in range(n):
            yield i
            await asyncio.sleep(0)

    async def main():
        return [i async for i in ticker(20)]

    assert run(main()) == list(range(20))
