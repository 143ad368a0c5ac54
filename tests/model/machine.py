# SPDX-License-Identifier: MIT
"""The rules: what may happen next, and to whom it may happen meanwhile."""

import errno
import signal
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from spooler.settle import DEFER, DONE, FAIL, RETRY
from spooler.states import State

from .kernel import CALM, Plan
from .ledger import FINAL
from .people import DROPS, ILLEGAL, People

WAITING = (State.INCOMING, State.DEFERRED)

which = st.integers(0, 7)
effects = st.sampled_from((DONE, RETRY, RETRY, DEFER, FAIL))
outputs = st.sampled_from((b"", b"said"))
handlers = st.sampled_from(("a", "a", "b", "none"))
priorities = st.sampled_from((5, 5, 0, 9))
dues = st.sampled_from((None, None, None, -5, 3, 40))
wishes = st.sampled_from((None, None, 1, 4))
submissions = st.tuples(
    st.just("submit"), handlers, priorities, dues, wishes
)
#: Other ways to submit.
others = st.one_of(
    st.tuples(st.just("submit_many"), st.integers(1, 4)),
    st.tuples(st.just("submit_file"), which),
    st.tuples(st.just("drop"), st.integers(0, len(DROPS) - 1)),
)
#: What somebody else does between two calls.
meetings = st.one_of(
    st.tuples(
        st.sampled_from((
            "hold", "release", "requeue", "remove", "purge", "put_back",
            "resubmit", "drop", "take", "kill_hand", "copy_id",
        )), which,
    ),
    st.tuples(st.just("settle"), which, effects, outputs),
    st.tuples(st.sampled_from(("turn", "kill", "look", "look"))),
    submissions,
)
errors = st.sampled_from((errno.ENOSPC, errno.EIO, errno.EMFILE))


def plans(calls: int, changes: int) -> st.SearchStrategy[Plan]:
    """What may happen in the course of about so many calls."""
    return st.one_of(
        st.just(CALM),
        st.builds(Plan, st.just("crash"), st.integers(1, changes)),
        st.builds(Plan, st.just("error"), st.integers(1, changes), errors),
        st.builds(Plan, st.just("meet"), st.integers(1, calls),
                  what=meetings),
    )


def when(holds: Callable[[People], bool]) -> Any:
    """Let a rule apply only to some worlds."""
    return precondition(lambda self: holds(self.world))


class Spooling(RuleBasedStateMachine):
    """The life of a spool."""

    noreplace = True
    #: Of all examples: how many, and what happened in them.
    tally: dict[str, int] = {}

    def __init__(self) -> None:
        super().__init__()
        self.world: Any = None
        self.steps = 0

    @initialize(seed=st.integers(0, 2 ** 32), jobs=st.integers(0, 4))
    def begin(self, seed: int, jobs: int) -> None:
        self.world = People(seed, self.noreplace)
        self.world.submit_many(jobs)
        self.world.start()

    @invariant()
    def is_right(self) -> None:
        if self.world is not None:
            self.steps += 1
            self.world.judge(look=self.steps % 3 == 0)

    def count(self, what: str, by: int = 1) -> None:
        """Add to the tally."""
        self.tally[what] = self.tally.get(what, 0) + by

    def teardown(self) -> None:
        """Bring all to its end, unless it went wrong already."""
        if self.world is None:
            return
        try:
            if self.world.ledger.wrong:
                return
            self.world.drain()
            self.count("examples")
            self.count("steps", self.steps)
            self.count("calls", self.world.kernel.calls)
            self.count("in turn", self.world.inturn.judged)
            for table in (self.world.kernel.struck, self.world.ledger.moves):
                for what, times in table.items():
                    self.count(what, times)
        finally:
            self.world.close()

    # Producers, and a person with a shell.

    @rule(todo=st.one_of(submissions, submissions, others),
          plan=plans(10, 8))
    def submit(self, todo: Any, plan: Plan) -> None:
        verb, *args = todo
        getattr(self.world, verb)(*args, plan)

    @rule(number=which, plan=plans(10, 8))
    def resubmit(self, number: int, plan: Plan) -> None:
        self.world.resubmit(number, plan)

    @rule(number=st.integers(0, len(ILLEGAL) - 1), copy=which)
    def trifle(self, number: int, copy: int) -> None:
        """Drop what is no job, or a copy of one."""
        if copy:
            self.world.drop_stray(number)
        else:
            self.world.copy_id(number)

    @when(lambda world: world.any_place(*FINAL, State.DEFERRED, State.HELD))
    @rule(number=which)
    def put_back(self, number: int) -> None:
        self.world.put_back(number)

    # Operators.

    @when(lambda world: world.any_place(*WAITING))
    @rule(number=which, plan=plans(2, 2))
    def hold(self, number: int, plan: Plan) -> None:
        self.world.hold(number, plan)

    @when(lambda world: world.any_place(State.HELD))
    @rule(number=which, plan=plans(2, 2))
    def release(self, number: int, plan: Plan) -> None:
        self.world.release(number, plan)

    @when(lambda world: world.any_place(*FINAL))
    @rule(number=which, plan=plans(9, 9))
    def requeue(self, number: int, plan: Plan) -> None:
        self.world.requeue(number, plan)

    @when(lambda world: world.any_place(*FINAL, *WAITING, State.HELD))
    @rule(number=which, plan=plans(9, 9), final=st.booleans())
    def delete(self, number: int, final: bool, plan: Plan) -> None:
        verb = self.world.purge if final else self.world.remove
        verb(number, plan)

    # The daemon and its workers.

    @when(lambda world: not world.serves())
    @rule(plan=plans(70, 12))
    def start(self, plan: Plan) -> None:
        self.world.start(plan)

    @when(People.serves)
    @rule(plan=plans(20, 12))
    def turn(self, plan: Plan) -> None:
        self.world.turn(plan)

    @when(lambda world: world.has_hand(False))
    @rule(number=which, plan=plans(3, 1))
    def take(self, number: int, plan: Plan) -> None:
        self.world.take(number, plan)

    @when(lambda world: world.has_hand(True))
    @rule(number=which, effect=effects, out=outputs, plan=plans(28, 24))
    def settle(
        self, number: int, effect: str, out: bytes, plan: Plan
    ) -> None:
        self.world.settle(number, effect, out, plan)

    @rule(effect=effects, out=outputs, plan=plans(28, 24))
    def work(self, effect: str, out: bytes, plan: Plan) -> None:
        """One or two jobs are claimed, and one gets its verdict."""
        self.claim()
        self.world.settle(0, effect, out, plan)
        self.world.turn()

    @rule()
    def claim(self) -> None:
        """All workers get something to do."""
        self.world.start()
        for _ in range(2):
            self.world.turn()
            for number in range(2):
                self.world.take(number)

    @rule(effects=st.lists(effects, min_size=1, max_size=3), plan=plans(8, 4))
    def again(self, effects: list[str], plan: Plan) -> None:
        """Time passes, and what became due has one more run, and another."""
        for effect in effects:
            self.world.kernel.clock.pass_by(10)
            self.world.start()
            self.world.turn(plan)
            self.claim()
            self.world.settle(0, effect)
        self.world.turn()

    @when(lambda world: world.has_hand(True))
    @rule(number=which, verb=st.sampled_from(("take_file", "kill_hand")))
    def lose(self, verb: str, number: int) -> None:
        """A handler deletes its file, or takes its worker along."""
        getattr(self.world, verb)(number)
        self.world.turn()

    @when(People.serves)
    @rule(number=st.sampled_from((signal.SIGTERM, signal.SIGHUP)))
    def tell(self, number: int) -> None:
        self.world.tell(number)

    @when(People.serves)
    @rule(how=st.sampled_from(("kill", "kill_all", "power_cut")))
    def kill(self, how: str) -> None:
        getattr(self.world, how)()

    @rule(seconds=st.sampled_from((1, 10, 100)), deaf=st.booleans())
    def wait(self, seconds: int, deaf: bool) -> None:
        self.world.kernel.clock.pass_by(seconds)
        self.world.deaf = deaf
