"""create_task, create_future and task factories, as the running asyncio has them."""

import asyncio
import contextvars
import inspect
import sys

import pytest

from tests.support import lasting_repr, own_types, run_once

number = contextvars.ContextVar("number", default=0)


async def answer(value=42):
    await asyncio.sleep(0)
    return value


def test_create_future(loop):
    future = loop.create_future()
    assert isinstance(future, asyncio.Future)
    assert future.get_loop() is loop
    assert not future.done()
    with pytest.raises(asyncio.InvalidStateError):
        future.result()
    future.set_result(1)
    assert loop.run_until_complete(future) == 1


def test_create_task(loop):
    task = loop.create_task(answer())
    assert isinstance(task, asyncio.Task)
    assert task.get_loop() is loop
    assert not task.done()
    assert asyncio.all_tasks(loop) == {task}
    assert loop.run_until_complete(task) == 42
    assert asyncio.all_tasks(loop) == set()


def test_name_and_context(loop):
    context = contextvars.copy_context()
    context.run(number.set, 5)

    async def look():
        return number.get(), asyncio.current_task().get_name()

    task = loop.create_task(look(), name="looker", context=context)
    assert task.get_name() == "looker"
    assert loop.run_until_complete(task) == (5, "looker")
    assert loop.run_until_complete(loop.create_task(look()))[0] == 0


def test_unnamed_tasks_get_a_name(loop):
    tasks = [loop.create_task(answer()) for _ in range(2)]
    names = [task.get_name() for task in tasks]
    assert names[0].startswith("Task-")
    assert names[0] != names[1]
    loop.run_until_complete(asyncio.gather(*tasks))


def test_names_that_are_no_text(loop):
    task = loop.create_task(answer(), name=17)
    assert task.get_name() == "17"
    loop.run_until_complete(task)


@pytest.mark.parametrize("rubbish", [None, 5, answer, "text"], ids=lasting_repr)
def test_what_is_no_coroutine(loop, rubbish):
    with pytest.raises(TypeError, match="coroutine was expected"):
        loop.create_task(rubbish)


def test_wrong_arguments(loop):
    with pytest.raises(TypeError):
        loop.create_task()
    coroutine = answer()
    with pytest.raises(TypeError):
        loop.create_task(coroutine, nmae="x")
    coroutine.close()
    with pytest.raises(TypeError):
        loop.create_future(1)


def test_the_task_is_not_started_at_once(loop):
    seen = []

    async def main():
        seen.append("started")

    task = loop.create_task(main())
    assert seen == []
    run_once(loop)
    assert seen == ["started"]
    assert task.done()


def test_signatures_can_be_read(loop):
    assert inspect.signature(loop.create_future).parameters == {}
    inspect.signature(loop.create_task).bind(None, name="n", context=None)


class Recorder:
    """A task factory that notes how it was called."""

    def __init__(self):
        self.calls = []

    def __call__(self, *args, **kwargs):
        self.calls.append((args, kwargs))
        loop, coro = args
        kwargs.pop("eager_start", None)
        name = kwargs.pop("name", None)
        return asyncio.Task(coro, loop=loop, name=name, **kwargs)


CALLS = {
    "plain": {},
    "name": {"name": "n"},
    "name None": {"name": None},
    "context": {"context": contextvars.Context()},
    "context None": {"context": None},
    "both": {"name": "n", "context": contextvars.Context()},
}
if sys.version_info >= (3, 14):
    CALLS["eager_start"] = {"eager_start": True}
    CALLS["lazy_start"] = {"eager_start": False, "name": "n"}


def calls_made(loop, kwargs):
    """What a factory of this loop is called with, and the task's name."""
    factory = Recorder()
    loop.set_task_factory(factory)
    coroutine = answer()
    task = loop.create_task(coroutine, **kwargs)
    name = task.get_name()
    loop.run_until_complete(task)
    [(args, got)] = factory.calls
    assert args == (loop, coroutine)
    return got, "Task-N" if name.startswith("Task-") else name


@pytest.mark.parametrize("case", CALLS)
def test_a_factory_is_called_as_asyncio_calls_it(loop, case):
    kwargs = CALLS[case]
    asyncios = asyncio.new_event_loop()
    expected = calls_made(asyncios, dict(kwargs))
    asyncios.close()
    assert calls_made(loop, dict(kwargs)) == expected
    if kwargs.get("context"):
        assert expected[0]["context"] is kwargs["context"]


def test_get_and_set(loop):
    assert loop.get_task_factory() is None
    factory = Recorder()
    assert loop.set_task_factory(factory) is None
    assert loop.get_task_factory() is factory
    loop.set_task_factory(None)
    assert loop.get_task_factory() is None
    assert loop.run_until_complete(answer()) == 42
    assert factory.calls == []


@pytest.mark.parametrize("rubbish", [5, "text", object()], ids=type)
def test_a_factory_must_be_callable(loop, rubbish):
    with pytest.raises(TypeError, match="task factory must be a callable or None"):
        loop.set_task_factory(rubbish)
    assert loop.get_task_factory() is None


def test_what_the_factory_returns_is_returned(loop):
    class Mine(asyncio.Task):
        pass

    loop.set_task_factory(lambda loop, coro, **kwargs: Mine(coro, loop=loop, **kwargs))
    task = loop.create_task(answer(), name="mine")
    assert type(task) is Mine
    assert task.get_name() == "mine"
    assert loop.run_until_complete(task) == 42
    assert loop.run_until_complete(answer(7)) == 7


def test_a_factory_that_raises(loop):
    def factory(loop, coro, **kwargs):
        coro.close()
        raise LookupError("no task today")

    loop.set_task_factory(factory)
    with pytest.raises(LookupError, match="no task today"):
        loop.create_task(answer())
    with pytest.raises(LookupError, match="no task today"):
        loop.run_until_complete(answer())


def test_everything_goes_through_the_factory(loop):
    factory = Recorder()
    loop.set_task_factory(factory)

    async def main():
        await asyncio.gather(answer(), answer())
        await asyncio.wait_for(answer(), 5)
        async with asyncio.TaskGroup() as group:
            group.create_task(answer(), name="in group")

    loop.run_until_complete(main())
    # main, two in gather, one in the group; wait_for made a task until 3.11.
    assert len(factory.calls) == 4 + (sys.version_info < (3, 12))


def test_a_closed_loop_makes_no_task(loop):
    loop.close()
    factory = Recorder()
    loop.set_task_factory(factory)
    coroutine = answer()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.create_task(coroutine)
    coroutine.close()
    assert factory.calls == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
class TestEagerTasks:
    def test_a_task_runs_to_its_first_wait_at_once(self, loop):
        loop.set_task_factory(asyncio.eager_task_factory)
        seen = []

        async def child():
            seen.append("child starts")
            await asyncio.sleep(0)
            seen.append("child ends")
            return "value"

        async def main():
            task = asyncio.create_task(child(), name="eager")
            seen.append("created")
            assert task.get_name() == "eager"
            return await task

        assert loop.run_until_complete(main()) == "value"
        assert seen == ["child starts", "created", "child ends"]

    def test_a_task_that_never_waits_is_done_at_once(self, loop):
        loop.set_task_factory(asyncio.eager_task_factory)

        async def child():
            return asyncio.current_task().get_name()

        async def main():
            task = asyncio.create_task(child())
            me = asyncio.current_task()
            assert task.done()
            assert asyncio.current_task() is me
            assert asyncio.all_tasks() == {me}
            return task.result()

        assert loop.run_until_complete(main()).startswith("Task-")

    def test_a_task_that_raises_at_once(self, loop):
        loop.set_task_factory(asyncio.eager_task_factory)

        async def child():
            raise ValueError("at once")

        async def main():
            task = asyncio.create_task(child())
            assert task.done()
            with pytest.raises(ValueError, match="at once"):
                await task

        loop.run_until_complete(main())

    def test_the_context_is_the_tasks(self, loop):
        loop.set_task_factory(asyncio.eager_task_factory)

        async def child():
            number.set(9)
            await asyncio.sleep(0)
            return number.get()

        async def main():
            task = asyncio.create_task(child())
            return number.get(), await task

        assert loop.run_until_complete(main()) == (0, 9)

    @pytest.mark.skipif(sys.version_info < (3, 14), reason="eager_start came with 3.14")
    def test_eager_start_for_one_task(self, loop):
        seen = []

        async def child(name):
            seen.append(name)

        async def main():
            loop.create_task(child("lazy"))
            loop.create_task(child("eager"), eager_start=True)
            await asyncio.sleep(0)

        loop.run_until_complete(main())
        assert seen == ["eager", "lazy"]


def test_current_task_and_all_tasks(run):
    async def child():
        return asyncio.current_task()

    async def main():
        me = asyncio.current_task()
        task = asyncio.create_task(child())
        assert asyncio.all_tasks() == {me, task}
        assert await task is task
        assert asyncio.current_task() is me
        return me

    run(main())
    with pytest.raises(RuntimeError):
        asyncio.current_task()


def test_foreign_tasks_and_futures_run_here(loop):
    """Stock, subclassed and pure-Python types, made by hand for this loop."""
    from asyncio import futures, tasks

    class Sub(asyncio.Task):
        pass

    async def main():
        plain = tasks._PyTask(answer(1), loop=loop)
        stock = asyncio.Task(answer(2), loop=loop)
        sub = Sub(answer(3), loop=loop)
        future = futures._PyFuture(loop=loop)
        loop.call_soon(future.set_result, 4)
        return [await plain, await stock, await sub, await future]

    assert loop.run_until_complete(main()) == [1, 2, 3, 4]


@own_types
@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks start eagerly from 3.12")
def test_an_eager_task_that_cannot_start_makes_no_noise(fast_loop):
    # asyncio's stays the current task for ever instead
    reports = []
    fast_loop.set_exception_handler(lambda _, report: reports.append(report))

    async def main():
        context = contextvars.copy_context()
        coro = answer()
        with pytest.raises(RuntimeError, match="already entered"):
            context.run(
                type(asyncio.current_task()),
                coro,
                loop=fast_loop,
                eager_start=True,
                context=context,
            )
        coro.close()
        return asyncio.all_tasks() == {asyncio.current_task()}

    assert fast_loop.run_until_complete(fast_loop.create_task(main()))
    assert reports == []


def test_any_number_of_keywords_reaches_the_factory(loop):
    """As far as the running Python's create_task passes them on."""
    keywords = {f"keyword{n}": n for n in range(12)}
    seen = []

    def factory(loop, coro, **options):
        seen.append(options)
        return asyncio.Task(coro, loop=loop)

    async def nothing():
        pass

    loop.set_task_factory(factory)
    coro = nothing()
    try:
        task = loop.create_task(coro, **keywords)
    except TypeError as exc:
        assert "unexpected keyword argument 'keyword0'" in str(exc)
        coro.close()
    else:
        loop.run_until_complete(task)
        assert [
            {key: options[key] for key in options if key.startswith("keyword")}
            for options in seen
        ] == [keywords]
