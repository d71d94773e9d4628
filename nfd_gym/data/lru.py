"""LRU: what was used last stays in memory, within a budget. Safe to use from several threads."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class LRU(Generic[Value]):
    """Values made on demand; the longest unused go when their costs exceed the budget."""

    def __init__(self, budget: int, cost: Callable[[Value], int] = lambda value: 1) -> None:
        self.budget, self.cost = budget, cost
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._spent = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of `key`, made if it is not kept. Two threads may make the same one at once."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._spent += self.cost(value)
            while self._spent > self.budget and len(self._values) > 1:
                self._spent -= self.cost(self._values.popitem(last=False)[1])
        return value
