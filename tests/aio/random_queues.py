"""Random programs of queues: tasks that put, get, give up and are cancelled.

    python -m tests.aio.random_queues [--programs 10000] [--seed 1]

Each program is a kind of queue, its size, and a few tasks, each a list of actions on
it. What happens, turn by turn, is the same with asyncio's queues and with
fastloop.aio's, on both loops.
"""

from hypothesis import strategies as st

from tests.aio.helpers import turns
from tests.aio.on_both import play_out, play_steps, same_events
from tests.random_checks import asked_for, check_many

ACTIONS = """
    put put put_nowait get get get_nowait task_done join turn cancel shutdown
    shutdown_now look odd lost
"""
KINDS = ["Queue", "PriorityQueue", "LifoQueue"]
N_TURNS = 50

action = st.tuples(st.sampled_from(ACTIONS.split()), st.integers(0, 3))
scripts = st.lists(st.lists(action, min_size=1, max_size=9), min_size=2, max_size=5)
programs = st.tuples(st.sampled_from(KINDS), st.integers(0, 2), scripts)


class Run:
    """One program on one module's classes."""

    def __init__(self, module, program):
        kind, maxsize, self.scripts = program
        self.events = []
        self.queue = getattr(module, kind)(maxsize)

    def look(self):
        queue = self.queue
        return (
            repr(queue).partition(" at ")[0], str(queue), queue.qsize(), queue.empty(),
            queue.full(), queue._unfinished_tasks, queue._finished.is_set(),
            [f._state for f in queue._getters], [f._state for f in queue._putters],
        )  # fmt: skip

    async def act(self, name, number):
        queue = self.queue
        match name:
            case "put":
                return await queue.put(number)
            case "put_nowait":
                return queue.put_nowait(number)
            case "get":
                return await queue.get()
            case "get_nowait":
                return queue.get_nowait()
            case "task_done":
                return queue.task_done()
            case "join":
                return await queue.join()
            case "turn":
                await turns(number)
            case "cancel":
                self.tasks[number % len(self.tasks)].cancel(f"by {number}")
                await turns(number)
            case "shutdown" | "shutdown_now":
                if number == 3 and hasattr(queue, "shutdown"):
                    return queue.shutdown(immediate=name == "shutdown_now")
            case "odd":  # does not compare with numbers
                return queue.put_nowait("odd" if number == 3 else number)
            case "lost":  # a waiter that somebody else ends
                waiters = [*queue._getters, *queue._putters]
                if number == 3 and waiters:
                    waiters[0].cancel("lost")
            case "look":
                return self.look()

    async def play(self, index, script):
        def told(error):
            return type(error).__name__, str(error)

        await play_steps(self, index, script, told)

    async def main(self):
        await play_out(self, self.scripts, N_TURNS)


def check(program):
    """Raise AssertionError if it is not the same everywhere; return its events."""
    return same_events(Run, program)


if __name__ == "__main__":
    asked = asked_for(__doc__)
    n_programs, n_events = check_many(programs, check, asked.programs, asked.seed)
    print(f"{n_programs} programs of queues, {n_events} events: the same on both")
