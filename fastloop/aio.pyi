from asyncio import *  # noqa: F403
from asyncio import __all__ as __all__
from typing import Any

from ._core import BoundedSemaphore as BoundedSemaphore
from ._core import Condition as Condition
from ._core import Event as Event
from ._core import LifoQueue as LifoQueue
from ._core import Lock as Lock
from ._core import PriorityQueue as PriorityQueue
from ._core import Queue as Queue
from ._core import Semaphore as Semaphore
from ._core import TaskGroup as TaskGroup

def __getattr__(name: str) -> Any: ...
