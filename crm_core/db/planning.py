"""Decides by trial whether PostgreSQL is to plan a prepared statement once for all values, or for its values each time."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

SHARE: Final = 0.03
"""Trials take no more than this share of the time that statements take."""
GIVEN: Final = 10.0
"""Seconds of trials a process may begin with, and the most it saves up."""
PATIENCE: Final = 2.0
LEAST_PATIENCE: Final = 0.05
"""A way is given up in a trial after so many times what the execution took, and not before so many seconds."""
COST: Final = 4.0
"""Times that patience that a trial may take, with all that goes before it."""
WINDOW: Final = 16
ENOUGH: Final = 5
BETTER: Final = 1.25
CLEAR: Final = 4.0
"""Where one way takes so many times as long as the other, fewer trials are enough."""
ENOUGH_IF_CLEAR: Final = 3
FIRST_WAIT: Final = 6
LONGEST_WAIT: Final = 512
STRIKING_SECONDS: Final = 0.01
STRIKING_TIMES: Final = 4.0
"""An execution that took so many times what is usual is tried at once: the plan may be bad for its values."""
REMEMBERED: Final = 500


class Trial(NamedTuple):
    """Seconds that the same execution took in both ways."""

    once: float
    each: float


@dataclass(slots=True)
class _Statement:
    each: bool = False
    wait: int = FIRST_WAIT
    executed: int = 0
    usual: float = 0.0
    trials: deque[Trial] = field(default_factory=lambda: deque(maxlen=WINDOW))


class Planning:
    """What the executions of this process's statements told so far, by their SQL.

    A server that plans once for all values saves the planning; where values differ much in how many rows they mean,
    that plan may be many times as slow. PostgreSQL compares estimates, and those are what is wrong then. So an execution
    is repeated both ways from time to time, with its own values, and the sums decide. The largest difference
    does not count: it may be something else that happened meanwhile.
    """

    def __init__(self) -> None:
        """Everything is planned once until trials tell otherwise."""
        self._statements: OrderedDict[str, _Statement] = OrderedDict()
        self._credit = GIVEN

    def each_time(self, sql: str) -> bool:
        """Whether the statement is to be planned for its values each time."""
        known = self._statements.get(sql)
        return known is not None and known.each

    def wants_trial(self, sql: str, seconds: float) -> bool:
        """Note an execution that took so many seconds; whether the same is to be tried in both ways."""
        known = self._known(sql)
        known.executed += 1
        striking = seconds > STRIKING_SECONDS and seconds > STRIKING_TIMES * known.usual > 0
        known.usual += (seconds - known.usual) / min(known.executed, WINDOW)
        self._credit = min(GIVEN, self._credit + SHARE * seconds)
        return (striking or known.executed >= known.wait) and self._credit >= COST * self.patience(seconds)

    @staticmethod
    def patience(seconds: float) -> float:
        """How many seconds a way may take in the trial of an execution that took so many."""
        return max(PATIENCE * seconds, LEAST_PATIENCE)

    def tried(self, sql: str, trial: Trial, spent: float) -> None:
        """Note what a trial showed that took so many seconds altogether."""
        self._credit -= spent
        known = self._known(sql)
        known.trials.append(trial)
        known.executed, known.wait = 0, min(2 * known.wait, LONGEST_WAIT)
        if _judged(known.trials, each=known.each) != known.each:
            known.each = not known.each
            known.trials.clear()
            known.wait, known.usual = FIRST_WAIT, 0.0

    def put_off(self, sql: str, spent: float) -> None:
        """Note that a trial came to nothing after so many seconds."""
        self._credit -= spent
        known = self._known(sql)
        known.executed, known.wait = 0, min(2 * known.wait, LONGEST_WAIT)

    def _known(self, sql: str) -> _Statement:
        known = self._statements.get(sql)
        if known is None:
            known = self._statements[sql] = _Statement()
            if len(self._statements) > REMEMBERED:
                self._statements.popitem(last=False)
        else:
            self._statements.move_to_end(sql)
        return known


def _judged(trials: deque[Trial], *, each: bool) -> bool:
    """Whether to plan each time after these trials; `each`: it is done now."""
    if len(trials) < ENOUGH_IF_CLEAR:
        return each
    odd = max(range(len(trials)), key=lambda place: abs(trials[place].once - trials[place].each))
    kept = [trial for place, trial in enumerate(trials) if place != odd]
    once, each_time = sum(one.once for one in kept), sum(one.each for one in kept)
    now, other = (each_time, once) if each else (once, each_time)
    needed = BETTER if len(trials) >= ENOUGH else CLEAR
    return not each if now > needed * other else each
