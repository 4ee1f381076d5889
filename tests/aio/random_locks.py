"""Random programs of locks: tasks that wait, give up, are cancelled and woken.

    python -m tests.aio.random_locks [--programs 10000] [--seed 1]

Each program is a few tasks, each a list of actions on a lock, an event, two semaphores
and a condition they share. What happens, turn by turn, is the same with asyncio's
classes and with fastloop.aio's, on both loops.
"""

import asyncio

from hypothesis import strategies as st

from tests.aio.helpers import turns
from tests.aio.on_both import play_out, play_steps, same_events
from tests.random_checks import asked_for, check_many

ACTIONS = """
    acquire release with event_wait event_set event_clear take give with_semaphore
    bounded_take bounded_give condition_wait notify notify_all turn cancel raise
    timeout look
"""

N_TURNS = 60

action = st.tuples(st.sampled_from(ACTIONS.split()), st.integers(0, 3))
programs = st.lists(st.lists(action, min_size=1, max_size=9), min_size=2, max_size=5)


class Run:
    """One program on one module's classes."""

    def __init__(self, module, program):
        self.program = program
        self.events = []
        self.lock = module.Lock()
        self.event = module.Event()
        self.semaphore = module.Semaphore(2)
        self.bounded = module.BoundedSemaphore(1)
        self.condition = module.Condition(self.lock)

    def look(self):
        """The state of all, as their private attributes have it."""
        waiting = [
            [f._state for f in thing._waiters or ()]
            for thing in (self.lock, self.event, self.semaphore, self.bounded)
        ]
        return (
            self.lock.locked(), self.event.is_set(), self.semaphore._value,
            self.bounded._value, self.semaphore.locked(), waiting,
            [f._state for f in self.condition._waiters],
        )  # fmt: skip

    async def act(self, name, number):
        match name:
            case "acquire":
                return await self.lock.acquire()
            case "release":
                return self.lock.release()
            case "with":
                async with self.lock:
                    await turns(number)
            case "event_wait":
                return await self.event.wait()
            case "event_set":
                return self.event.set()
            case "event_clear":
                return self.event.clear()
            case "take":
                return await self.semaphore.acquire()
            case "give":
                return self.semaphore.release()
            case "with_semaphore":
                async with self.semaphore:
                    await turns(number)
            case "bounded_take":
                return await self.bounded.acquire()
            case "bounded_give":
                return self.bounded.release()
            case "condition_wait":
                async with self.condition:
                    return await self.condition.wait()
            case "notify":
                async with self.condition:
                    return self.condition.notify(number)
            case "notify_all":
                return self.condition.notify_all()
            case "turn":
                await turns(number)
            case "cancel":
                self.tasks[number % len(self.tasks)].cancel(f"by {number}")
                await turns(number)
            case "raise":
                raise ValueError(number)
            case "timeout":
                # as a timer would: a callback that cancels, some turns later
                task = asyncio.current_task()
                asyncio.create_task(self.later(number, task))  # noqa: RUF006
                return await self.lock.acquire()
            case "look":
                return self.look()

    async def later(self, number, task):
        await turns(number)
        task.cancel()

    async def play(self, index, script):
        def told(error):
            context = error.__context__
            return type(error).__name__, str(error), type(context).__name__

        await play_steps(self, index, script, told)

    async def main(self):
        def let_go():
            if self.lock.locked():  # a cancelled condition waits for it
                self.lock.release()

        await play_out(self, self.program, N_TURNS, let_go)


def check(program):
    """Raise AssertionError if it is not the same everywhere; return its events."""
    return same_events(Run, program)


if __name__ == "__main__":
    asked = asked_for(__doc__)
    n_programs, n_events = check_many(programs, check, asked.programs, asked.seed)
    print(f"{n_programs} programs of locks, {n_events} events: the same on both")
