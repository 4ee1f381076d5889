"""Seeded order: what it shuffles and what it keeps, replays, planted bugs."""

import asyncio
import re
import socket

import pytest

from fastloop.testing import StuckError, explore, new_test_loop, run
from tests.support import child_says, own_types

SEEDS = range(30)
REPLAYS = 1000


def orders(main, **options):
    """What main(seen) puts into the list, for each seed."""
    found = []
    for seed in SEEDS:
        seen = []
        run(main(seen), order=seed, **options)
        found.append(tuple(seen))
    return found


# ---- what it shuffles ----


def test_wake_ups_of_tasks(fast_kind):
    async def main(seen):
        async def wait(name):
            await event.wait()
            seen.append(name)

        event = asyncio.Event()
        tasks = [asyncio.create_task(wait(name)) for name in "abc"]
        await asyncio.sleep(0)
        event.set()
        await asyncio.gather(*tasks)

    assert len(set(orders(main))) == 6


@own_types  # the ready queue has nothing of others to put into another order
def test_tasks_that_only_yield(fast_kind):
    async def main(seen):
        async def twice(name):
            await asyncio.sleep(0)
            seen.append(name)

        await asyncio.gather(*(twice(name) for name in "abc"))

    assert len(set(orders(main))) == 6


def test_equal_deadlines(fast_kind):
    async def main(seen):
        loop = asyncio.get_running_loop()
        for name in "abc":
            loop.call_later(5, seen.append, name)
        for name in "xy":
            loop.call_later(6, seen.append, name)
        await asyncio.sleep(7)

    found = set(orders(main))
    assert len(found) == 12
    assert all(set(one[:3]) == set("abc") for one in found)


@pytest.mark.parametrize("how", ["reader", "recv", "stream"])
def test_fds_of_one_poll(fast_kind, how):
    async def main(seen):
        loop = asyncio.get_running_loop()
        pairs = [socket.socketpair() for _ in range(3)]
        tasks, writers = [], []

        async def recv(sock, name):
            await loop.sock_recv(sock, 1)
            seen.append(name)

        for (left, _), name in zip(pairs, "abc", strict=True):
            left.setblocking(False)
            if how == "reader":
                loop.add_reader(
                    left, lambda s=left, n=name: seen.append((s.recv(1), n))
                )
            elif how == "recv":
                tasks.append(asyncio.create_task(recv(left, name)))
            else:
                reader, writer = await asyncio.open_connection(sock=left)
                writers.append(writer)
                task = asyncio.create_task(reader.read(1))
                task.add_done_callback(lambda _, n=name: seen.append(n))
                tasks.append(task)
        await asyncio.sleep(0)
        for _, right in pairs:
            right.send(b"x")
        await loop.settle()
        await asyncio.gather(*tasks)
        for writer in writers:
            writer.close()
        for left, right in pairs:
            if how != "stream":
                loop.remove_reader(left)
                left.close()
            right.close()

    assert len(set(orders(main))) == 6


@own_types
def test_starts_if_asked(fast_kind):
    async def main(seen):
        async def begin(name):
            seen.append(name)

        await asyncio.gather(*(begin(name) for name in "abc"))

    assert set(orders(main)) == {("a", "b", "c")}
    assert len(set(orders(main, shuffle_start=True))) == 6


@pytest.mark.parametrize("debug", [False, True])
def test_tasks_of_other_kinds(fast_kind, debug):
    """In debug mode, and asyncio's own, they are woken by handles."""

    async def main(seen):
        async def wait(name):
            await event.wait()
            seen.append(name)

        loop = asyncio.get_running_loop()
        if not debug:
            loop.set_task_factory(lambda loop, c, **k: asyncio.Task(c, loop=loop, **k))
        event = asyncio.Event()
        tasks = [loop.create_task(wait(name)) for name in "abc"]
        await asyncio.sleep(0)
        event.set()
        await asyncio.gather(*tasks)

    assert len(set(orders(main, debug=debug))) == 6


# ---- what it keeps ----


def test_call_soon(fast_kind):
    async def main(seen):
        loop = asyncio.get_running_loop()

        async def noise():
            for _ in range(4):
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(noise()) for _ in range(5)]
        await asyncio.sleep(0)
        for i in range(5):
            loop.call_soon(seen.append, i)
            loop.call_soon_threadsafe(seen.append, i + 0.5)
        await asyncio.gather(*tasks)

    assert set(orders(main)) == {tuple(i / 2 for i in range(10))}


def test_different_deadlines(fast_kind):
    async def main(seen):
        loop = asyncio.get_running_loop()
        with loop.frozen():
            for delay in (3, 1, 2):
                loop.call_later(delay, seen.append, delay)
            await loop.advance(5)

    assert set(orders(main)) == {(1, 2, 3)}


def test_the_bytes_of_a_socket(fast_kind):
    async def main(seen):
        left, right = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=left)
        _, other = await asyncio.open_connection(sock=right)
        for i in range(20):
            other.write(b"%d\n" % i)
            await asyncio.sleep(0)
        other.close()
        seen.extend(int(line) for line in (await reader.read()).splitlines())
        writer.close()

    assert set(orders(main)) == {tuple(range(20))}


def test_the_waiters_of_a_lock(fast_kind):
    async def main(seen):
        lock = asyncio.Lock()

        async def take(name):
            async with lock:
                seen.append(name)
                await asyncio.sleep(1)

        await asyncio.gather(*(take(name) for name in "abcde"))

    assert set(orders(main)) == {tuple("abcde")}


def test_without_an_order_nothing_changes(fast_kind):
    async def main(seen):
        event = asyncio.Event()

        async def wait(name):
            await event.wait()
            seen.append(name)
            await asyncio.sleep(1)
            seen.append(name)

        tasks = [asyncio.create_task(wait(name)) for name in "abc"]
        await asyncio.sleep(0)
        event.set()
        await asyncio.gather(*tasks)

    seen = []
    run(main(seen))
    assert "".join(seen) == "abcabc"


# ---- seeds ----

PROGRAM = """
import asyncio
from fastloop.testing import run

async def main():
    seen = []
    event = asyncio.Event()
    async def work(name):
        await event.wait()
        for i in range(10):
            seen.append(name)
            await asyncio.sleep(i % 3)
    tasks = [asyncio.create_task(work(name)) for name in "abcdefgh"]
    await asyncio.sleep(0)
    event.set()
    await asyncio.gather(*tasks)
    return "".join(seen)

print(*[run(main(), order=seed) for seed in range(5)])
"""


def test_the_same_in_every_process(fast_kind):
    namespace = {"print": lambda *texts: said.append(" ".join(texts))}
    said = []
    for _ in range(50):
        exec(PROGRAM, dict(namespace))
    assert len(set(said)) == 1
    assert len(set(said[0].split())) == 5
    for hash_seed in ("0", "1"):
        assert (
            child_says("fastloop", PROGRAM, PYTHONHASHSEED=hash_seed) == f"{said[0]}\n"
        )


def test_the_environments_seed(fast_kind, monkeypatch):
    monkeypatch.setenv("FASTLOOP_SEED", "7")
    for order, seed in ((None, None), (3, 7), ("random", 7)):
        loop = new_test_loop(order=order)
        assert loop.order == seed
        loop.close()
    monkeypatch.setenv("FASTLOOP_SEED", "seven")
    with pytest.raises(ValueError, match="'seven'"):
        new_test_loop(order=3)


def test_random_seeds(fast_kind):
    loops = [new_test_loop(order="random") for _ in range(5)]
    assert len({loop.order for loop in loops}) == 5
    for loop in loops:
        loop.close()


@pytest.mark.parametrize("bad", [-1, 2**53 + 1, "x", 1.5])
def test_what_is_no_seed(fast_kind, bad):
    with pytest.raises((ValueError, TypeError), match=r"order|seed"):
        new_test_loop(order=bad)


def test_a_failure_says_its_seed(fast_kind):
    async def fail():
        raise KeyError(1)

    with pytest.raises(KeyError) as caught:
        run(fail(), order=12345)
    assert caught.value.__notes__ == [
        "order=12345; FASTLOOP_SEED=12345 is the same one"
    ]
    with pytest.raises(KeyError) as caught:
        run(fail())
    assert not hasattr(caught.value, "__notes__")


# ---- planted bugs ----


async def lost_update():
    """Between reading and writing there is an await."""
    total = 0
    begin = asyncio.Event()

    async def slow():
        nonlocal total
        await begin.wait()
        seen = total
        await asyncio.sleep(0)
        total = seen + 10

    async def quick():
        nonlocal total
        await begin.wait()
        await asyncio.sleep(0)
        total += 5

    tasks = [asyncio.create_task(one()) for one in (slow, quick)]
    await asyncio.sleep(0)
    begin.set()
    await asyncio.gather(*tasks)
    assert total == 15


async def lost_wake_up():
    """What is set while the consumer works is cleared by it."""
    items, ready = [], asyncio.Event()
    n_done = 0

    async def consume():
        nonlocal n_done
        while n_done < 5:
            await ready.wait()
            n_done += len(items)
            items.clear()
            await asyncio.sleep(1)
            ready.clear()

    async def produce():
        for i in range(5):
            await asyncio.sleep(1)
            items.append(i)
            ready.set()
            await asyncio.sleep(0)

    await asyncio.gather(consume(), produce())


async def lock_order():
    one, other = asyncio.Lock(), asyncio.Lock()
    begin = asyncio.Event()

    async def forwards():
        await begin.wait()
        async with one:
            await asyncio.sleep(0)
            async with other:
                pass

    async def backwards():
        await begin.wait()
        await asyncio.sleep(0)
        async with other:
            await asyncio.sleep(0)
            async with one:
                pass

    tasks = [asyncio.create_task(f()) for f in (forwards, backwards)]
    await asyncio.sleep(0)
    begin.set()
    await asyncio.gather(*tasks)


PLANTED = {
    lost_update: AssertionError,
    lost_wake_up: StuckError,
    lock_order: StuckError,
}


@own_types
@pytest.mark.parametrize("main", PLANTED)
def test_planted_bugs(fast_kind, main):
    run(main())  # not found in asyncio's order
    with pytest.raises(PLANTED[main]) as caught:
        explore(main, seeds=1000)
    schedule, seed_note = sorted(caught.value.__notes__, key=len, reverse=True)
    seed = int(seed_note.partition(";")[0].removeprefix("order="))
    assert "steps:\n" in schedule
    assert main.__name__ in schedule
    assert f"{__file__}:" in schedule
    for _ in range(100):
        with pytest.raises(PLANTED[main]):
            run(main(), order=seed)


def failure_of(main, seed):
    """All that is said of it, with tasks numbered from the first."""
    with pytest.raises(PLANTED[main]) as caught:
        explore(main, seeds=1, first=seed)
    text = "\n".join([str(caught.value), *caught.value.__notes__])
    numbers = sorted({int(number) for number in re.findall(r"Task-(\d+)", text)})
    return re.sub(
        r" *Task-(\d+)", lambda found: f" task {numbers.index(int(found[1]))}", text
    )


@own_types
def test_a_failure_is_the_same_a_thousand_times(fast_kind):
    """To the last step and word."""
    for main in PLANTED:
        with pytest.raises(PLANTED[main]) as caught:
            explore(main, seeds=1000)
        text = "".join(caught.value.__notes__)
        seed = int(re.search(r"order=(\d+);", text)[1])
        expected = failure_of(main, seed)
        assert main.__name__ in expected
        for _ in range(REPLAYS):
            assert failure_of(main, seed) == expected


def test_nothing_to_find(fast_kind):
    runs = []

    async def main():
        runs.append(asyncio.get_running_loop().order)

    explore(main, seeds=20, first=5)
    assert runs == list(range(5, 25))


def test_explore_with_the_environments_seed(fast_kind, monkeypatch):
    runs = []

    async def main():
        runs.append(asyncio.get_running_loop().order)

    monkeypatch.setenv("FASTLOOP_SEED", "77")
    explore(main, seeds=20)
    assert runs == [77]


def test_a_failure_that_does_not_come_again(fast_kind):
    runs = []

    async def main():
        runs.append(1)
        assert len(runs) > 1

    with pytest.raises(AssertionError) as caught:
        explore(main)
    assert any("it depends on more" in note for note in caught.value.__notes__)
