"""A bounded memory of what was read, with its age: fresh up to a bound, and the last that is known beyond it."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Keeps the `capacity` most recently used values."""

    def __init__(self, capacity: int, fresh_seconds: float, clock: Callable[[], float] = time.monotonic):
        self._capacity = capacity
        self._fresh_seconds = fresh_seconds
        self._clock = clock
        self._values: OrderedDict[Key, tuple[Value, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def put(self, key: Key, value: Value) -> None:
        """Remember a value as the newest one."""
        self._values[key] = value, self._clock()
        self._values.move_to_end(key)
        if len(self._values) > self._capacity:
            self._values.popitem(last=False)

    def fresh(self, key: Key) -> Value | None:
        """The value, where it was read at most `fresh_seconds` ago."""
        found = self._values.get(key)
        if found is None or self._clock() - found[1] > self._fresh_seconds:
            return None
        self._values.move_to_end(key)
        return found[0]

    def last(self, key: Key) -> Value | None:
        """The value, however old."""
        found = self._values.get(key)
        return None if found is None else found[0]
