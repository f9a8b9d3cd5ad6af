"""Random play of the pure engine: random definitions, random verbs by random people, and what must hold all the time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Literal, TypeAlias
from uuid import UUID

from crm_core.approvals import chain
from crm_core.approvals.words import (
    Add,
    Adopt,
    ApprovalAdded,
    ApprovalAnswer,
    ApprovalEmpty,
    ApprovalRule,
    ApprovalSame,
    ApprovalSelf,
    ApprovalState,
    ApprovalTaskKind,
    ApprovalTaskState,
    Approve,
    Ask,
    Asked,
    Attach,
    Compensate,
    Copy,
    Delegate,
    Effects,
    Entry,
    Expire,
    Finished,
    Illegal,
    Perform,
    Recall,
    Reject,
    Remove,
    Resubmit,
    Return,
    Seat,
    Settle,
    Slot,
    Stage,
    State,
    Step,
    Task,
    TaskMoved,
    Terminate,
    Transfer,
    Urge,
    Verb,
    Withdraw,
)
from tests.approvals.laws import check_heir, check_permission, check_result, check_state, check_way

Engine: TypeAlias = Callable[[State, Verb, UUID, datetime], Step]
"""`chain.apply`, or one that is broken on purpose."""
NOW = datetime(2025, 11, 3, tzinfo=UTC)
PEOPLE = tuple(UUID(int=n) for n in range(1, 9))
ADMINISTRATORS = (UUID(int=98), UUID(int=99))
"""Never disabled; they hold the role `administrator`, and only take over what others asked for."""
ROLES = ("manager", "finance")
HELD = {
    **{who: frozenset({ROLES[n % 2]} if n < 5 else set()) for n, who in enumerate(PEOPLE)},
    **dict.fromkeys(ADMINISTRATORS, frozenset({"administrator"})),
}
EVERYBODY = tuple(HELD)
SYSTEM = UUID(int=0)
LONGEST = 24
AFTERMATH = 4
"""Turns that are tried after the end."""
PATIENCE = 300
"""Signatures within which every request comes to its end when nobody hinders it."""
RULES = tuple(ApprovalRule)
OUTCOMES = (
    ApprovalState.APPROVED,
    ApprovalState.APPROVED,
    ApprovalState.CONFLICT,
    ApprovalState.NEEDS_ADOPTION,
    ApprovalState.STALE,
    ApprovalState.PERFORMING,
    ApprovalState.PERFORMING,
)
ENDINGS = OUTCOMES[:5]
"""What comes of performing, at once or by a job."""


@dataclass
class Game:
    """One request being played with; `run` plays it and raises `AssertionError` with its seed where a law breaks."""

    seed: int
    verbs: Counter[str] = field(default_factory=Counter)
    apply: Engine = chain.apply

    def __post_init__(self) -> None:
        """Everything random comes from the seed."""
        self.random = Random(self.seed)
        self.number = 1_000
        self.disabled: set[UUID] = set()
        self.removed: set[UUID] = set()
        self.decisions: dict[UUID, tuple[UUID, ApprovalAnswer]] = {}
        self.told: dict[UUID, Task] = {}
        self.performed = 0
        self.undone = 0
        self.ended: ApprovalState | None = None
        self.hurried = False

    def run(self) -> None:
        """Play until nothing more can happen, or long enough; then let everybody sign, and it must end."""
        try:
            self._play()
        except AssertionError as error:
            raise AssertionError(f"seed {self.seed}: {error}") from error

    def _play(self) -> None:
        stages = tuple(self._stage() for _ in range(self.random.randint(1, 4)))
        self.state, effects = chain.start(
            self.random.choice(PEOPLE),
            stages,
            self_approval=self.random.choice(tuple(ApprovalSelf)),
            same_signer=self.random.choice(tuple(ApprovalSame)),
        )
        self._answer(effects)
        left = self.random.randint(3, LONGEST)
        while left > 0:
            self._turn()
            left = min(left - 1, AFTERMATH) if self.state.ended else left - 1
        if self.random.random() < 0.3:
            self._finish()
        self._replay()

    def _replay(self) -> None:
        try:
            again = chain.replay(self.state)
        except Illegal as illegal:
            raise AssertionError("the log cannot be done again") from illegal
        assert again == self.state, "the log gives another state"

    # -- definitions

    def _stage(self) -> Stage:
        slots = tuple(self._slot() for _ in range(self.random.choice((1, 1, 2, 3))))
        rule = self.random.choice(RULES)
        return Stage(slots, rule, self._need(rule), empty=self.random.choice(tuple(ApprovalEmpty)))

    def _slot(self) -> Slot:
        rule = self.random.choice(RULES)
        return Slot(rule, self._need(rule))

    def _need(self, rule: ApprovalRule) -> int | None:
        if rule is ApprovalRule.QUORUM:
            return self.random.randint(1, 4)
        return self.random.choice((1, 33, 50, 51, 67, 100)) if rule is ApprovalRule.RATIO else None

    def _fresh(self) -> UUID:
        self.number += 1
        return UUID(int=self.number)

    def _asked(self, key: UUID) -> Asked:
        if self.random.random() < 0.25:
            return Asked(key, role=self.random.choice(ROLES))
        able = [one for one in PEOPLE if one not in self.disabled]
        instead = self.random.choice(PEOPLE) if self.random.random() < 0.1 else None
        return Asked(key, user=self.random.choice(able or ADMINISTRATORS), instead_of=instead)

    def _seat(self, stage: int) -> Seat:
        if self.random.random() < 0.1:
            return Seat(skipped=True)
        declared = self.state.stages[stage]
        return Seat(tuple(self._people(declared) for _ in declared.slots), self._some())

    def _people(self, stage: Stage) -> tuple[Asked, ...]:
        """As the policy may find them; where it must not be empty, an administrator stands in."""
        people = [self._asked(self._fresh()) for _ in range(self.random.choice((0, 1, 1, 2, 3, 5)))]
        able = [one for one in people if self._is_able(one)]
        if not able and stage.empty is not ApprovalEmpty.SKIP:
            return (Asked(self._fresh(), role="administrator"),)
        return tuple(able)

    def _is_able(self, one: Asked) -> bool:
        forbidden = self.state.self_approval is ApprovalSelf.FORBID
        if one.user is not None:
            return not (forbidden and self.state.requester in (one.user, one.instead_of))
        return any(
            one.role in held and who not in self.disabled and not (forbidden and who == self.state.requester)
            for who, held in HELD.items()
        )

    def _some(self) -> tuple[UUID, ...]:
        return tuple(self.random.sample(PEOPLE, self.random.choice((0, 0, 1, 2))))

    # -- turns

    def _turn(self) -> None:
        if self.random.random() < 0.05:
            self._disable()
            return
        actor, key = self._somebody()
        self._try(self._verb(actor, key), actor)

    def _try(self, verb: Verb, actor: UUID) -> None:
        before = self.state
        try:
            after, effects = self.apply(before, verb, actor, NOW)
        except Illegal:
            return
        check_permission(before, verb, actor, HELD.get(actor, frozenset()))
        self._accept(before, verb, actor, after, effects)

    def _somebody(self) -> tuple[UUID, UUID]:
        """Mostly somebody who may do a task, and the task; sometimes anybody and any task."""
        open_ = [t for t in self.state.tasks if t.state is ApprovalTaskState.OPEN]
        actor = self.state.requester if self.random.random() < 0.5 else self.random.choice(EVERYBODY)
        if open_ and self.random.random() < 0.8:
            one = self.random.choice(open_)
            able = [who for who, held in HELD.items() if who not in self.disabled and one.may(who, held)]
            return self.random.choice(able or [actor]), one.id
        return actor, self.random.choice(self.state.tasks).id if self.state.tasks else self._fresh()

    def _verb(self, actor: UUID, key: UUID) -> Verb:
        """Half of the time one that fits how it stands, else any."""
        fitting = _FITTING.get(self.state.status)
        if fitting is not None and self._coin():
            return self.random.choice(fitting)(self, actor, key)
        return self.random.choices(_MAKERS, _WEIGHTS)[0](self, actor, key)

    def _coin(self) -> bool:
        return self.random.random() < 0.5

    def _several(self) -> tuple[Asked, ...]:
        return tuple(self._asked(self._fresh()) for _ in range(self.random.choice((1, 1, 2, 3))))

    def _disable(self) -> None:
        """Somebody leaves: what was asked of him goes to an administrator, as the product does it."""
        self.disabled.add(self.random.choice(PEOPLE))
        self._hand_on()

    def _hand_on(self) -> None:
        """Tasks of those who left, or that only they could do, go to an administrator."""
        if self.state.asking is not None:
            return
        left = (task for task in self.state.tasks if task.living and not self._has_somebody(task))
        if (task := next(left, None)) is not None:  # accepting it hands on the next
            other = next(one for one in ADMINISTRATORS if one != self.state.requester)
            self._step(Transfer(task.id, Asked(self._fresh(), user=other), forced=True))

    def _has_somebody(self, task: Task) -> bool:
        forbidden = self.state.self_approval is ApprovalSelf.FORBID and task.kind is ApprovalTaskKind.SIGN
        return any(
            task.may(who, held)
            and who not in self.disabled
            and not (forbidden and who == self.state.requester)
            for who, held in HELD.items()
        )

    def _finish(self) -> None:
        """Everybody does what he is asked, and the change can be performed: then it comes to an end."""
        self.hurried = True
        for _ in range(PATIENCE):
            if self.state.ended:
                return
            self._step(*self._next())
        raise AssertionError(f"it does not end, and is {self.state.status}")

    def _next(self) -> tuple[Verb, UUID]:
        state = self.state
        if state.status is ApprovalState.NEEDS_ADOPTION:
            signers = {task.signer for task in state.tasks}
            return Adopt(), next((who for who in EVERYBODY if who not in signers), state.requester)
        if state.status is ApprovalState.PERFORMING:
            return Settle(ApprovalState.APPROVED), SYSTEM
        if state.status is not ApprovalState.PENDING:
            return Resubmit(self._coin()), state.requester
        able = self._able()
        assert able, "nobody can act on it"
        actor = self.random.choice(able)
        return Approve(HELD[actor]), actor

    def _able(self) -> list[UUID]:
        return [
            who
            for who, held in HELD.items()
            if who not in self.disabled and chain.signable(self.state, who, held)
        ]

    # -- what follows, and what must hold

    def _step(self, verb: Verb, actor: UUID = SYSTEM) -> None:
        """Something that the product does, and that must be possible."""
        before = self.state
        try:
            after, effects = self.apply(before, verb, actor, NOW)
        except Illegal as illegal:
            raise AssertionError(f"{verb.name} is refused: {illegal.code}") from illegal
        self._accept(before, verb, actor, after, effects)

    def _accept(self, before: State, verb: Verb, actor: UUID, after: State, effects: Effects) -> None:
        self.verbs[verb.name] += 1
        assert after.log == (*before.log, Entry(verb, actor, NOW)), "the log does not tell it"
        if isinstance(verb, Remove):
            self._remove(before, verb.task)
        if isinstance(verb, Settle):
            self._settle(before, verb)
        self._note(before, verb, actor, after)
        self.told.update({e.task.id: e.task for e in effects if isinstance(e, TaskMoved)})
        assert self.told == {task.id: task for task in after.tasks}, "the effects do not tell all"
        check_result(before, verb, after, self.removed)
        check_way(before, verb, after)
        if isinstance(verb, Transfer):
            check_heir(before, verb, after)
        check_state(after, self.removed)
        self.state = after
        self._answer(effects)
        self._hand_on()
        self._look()

    def _settle(self, before: State, verb: Settle) -> None:
        """It is performed once, by whoever was asked to."""
        assert before.status in (ApprovalState.APPROVED, ApprovalState.PERFORMING), "settled without approval"
        assert not before.performed, "settled when it was performed already"
        self.performed += verb.outcome is ApprovalState.APPROVED

    def _remove(self, before: State, key: UUID) -> None:
        """He is not asked any more, nor those whom he brought in and who have not answered."""
        gone = {key}
        for task in before.tasks:
            if task.parent in gone and task.living:
                gone.add(task.id)
        self.removed |= gone

    def _note(self, before: State, verb: Verb, actor: UUID, after: State) -> None:
        """Each decision that was taken, to find it again later; and that it was time to take it."""
        known = {task.id: task for task in before.tasks}
        fresh = 0
        for task in after.tasks:
            old = known.get(task.id)
            if task.answer is None or task.id in self.decisions:
                continue
            fresh += 1
            if old is None:
                assert task.automatic, "a signature nobody gave"
                assert isinstance(verb, Seat), "a signature nobody gave"
            else:
                assert task.signer == actor, "signed by somebody else"
                assert old.state is ApprovalTaskState.OPEN or isinstance(verb, Transfer), "signed out of turn"
            assert task.signer is not None
            self.decisions[task.id] = (task.signer, task.answer)
        signs = isinstance(verb, Approve | Reject | Expire | Return | Transfer)
        assert fresh or not signs, "a signature left no trace"
        taken = {task.id: (task.signer, task.answer) for task in after.tasks if task.answer is not None}
        assert taken == self.decisions, "a decision is lost"

    def _answer(self, effects: Effects) -> None:
        for effect in effects:
            if isinstance(effect, Ask):
                assert self.state.asking == effect.stage, "another stage is wanted"
                self._step(self._seat(effect.stage))
            elif isinstance(effect, Perform):
                self._perform()
            elif isinstance(effect, Compensate):
                self.undone += 1
                assert self.performed == self.undone == 1, "nothing was there to undo"
            elif isinstance(effect, Finished):
                assert self.state.status is effect.status, "it is said to have ended otherwise"

    def _perform(self) -> None:
        assert self.state.status is ApprovalState.APPROVED, "performed without approval"
        assert self.performed == 0, "performed twice"
        outcome = ApprovalState.APPROVED if self.hurried else self.random.choice(OUTCOMES)
        self._step(Settle(outcome))

    def _look(self) -> None:
        """What holds whenever the product is at rest."""
        state = self.state
        assert state.asking is None, "it is not known whom to ask"
        if state.status is ApprovalState.PENDING:
            assert any(
                who not in self.disabled and chain.signable(state, who, held) for who, held in HELD.items()
            ), "nobody can act on it"
        elif state.status is ApprovalState.RETURNED:
            assert state.requester not in self.disabled, "it came back to somebody who left"
        elif state.status is ApprovalState.PERFORMING:
            assert not state.performed, "performed already, and being performed"
        assert state.performed == (self.performed == 1), "it is not known whether it was performed"
        if self.ended is not None and self.ended is not state.status:
            assert (self.ended, state.status) == (ApprovalState.APPROVED, ApprovalState.WITHDRAWN), (
                "woken again"
            )
            assert self.undone == 1, "the end was undone alone"
        if state.ended:
            self.ended = state.status


# -- what people do, and how often

Maker: TypeAlias = Callable[[Game, UUID, UUID], Verb]


def _how(game: Game) -> Literal[ApprovalAdded.BEFORE, ApprovalAdded.AFTER, ApprovalAdded.PARALLEL]:
    return game.random.choice((ApprovalAdded.BEFORE, ApprovalAdded.AFTER, ApprovalAdded.PARALLEL))


def _return(game: Game, actor: UUID, _key: UUID) -> Verb:
    target = game.random.choice((None, 0, 0, 1, 2))
    return Return(game._fresh(), HELD[actor], target, game._coin())


def _expire(game: Game, _actor: UUID, key: UUID) -> Verb:
    return Expire(key, game.random.choice((ApprovalAnswer.APPROVE, ApprovalAnswer.REJECT)))


def _forced(game: Game, _actor: UUID, key: UUID) -> Verb:
    return Transfer(key, game._asked(game._fresh()), forced=True)


_MOVES: Sequence[tuple[float, Maker]] = (
    (14, lambda game, actor, key: Approve(HELD[actor], "fine", game.random.choice((None, key)))),
    (3, lambda game, actor, key: Reject(HELD[actor], "no", game.random.choice((None, key)))),
    (3, _return),
    (1, lambda game, _actor, _key: Resubmit(game._coin())),
    (0.6, lambda _game, _actor, _key: Withdraw()),
    (0.3, lambda _game, _actor, _key: Terminate()),
    (0.5, lambda _game, _actor, _key: Recall()),
    (3, lambda game, actor, key: Transfer(key, game._asked(game._fresh()), HELD[actor])),
    (1, _forced),
    (3, lambda game, actor, key: Delegate(key, game._asked(game._fresh()), HELD[actor])),
    (5, lambda game, actor, key: Add(key, game._several(), _how(game), HELD[actor])),
    (3, lambda game, _actor, key: Remove(key, forced=game._coin())),
    (1, _expire),
    (1, lambda game, _actor, _key: Copy(game._some())),
    (1, lambda _game, _actor, _key: Urge()),
    (1, lambda _game, actor, _key: Attach(HELD[actor])),
    (0.5, lambda _game, _actor, _key: Settle(ApprovalState.APPROVED)),
    (0.5, lambda _game, _actor, _key: Adopt()),
)
_WEIGHTS = tuple(weight for weight, _ in _MOVES)
_MAKERS = tuple(maker for _, maker in _MOVES)
_FITTING: dict[ApprovalState, tuple[Maker, ...]] = {
    ApprovalState.RETURNED: (lambda game, _actor, _key: Resubmit(game._coin()), _forced),
    ApprovalState.CONFLICT: (lambda game, _actor, _key: Resubmit(game._coin()),),
    ApprovalState.NEEDS_ADOPTION: (lambda _game, _actor, _key: Adopt(),),
    ApprovalState.APPROVED: (lambda _game, _actor, _key: Recall(),),
    ApprovalState.PERFORMING: (lambda game, _actor, _key: Settle(game.random.choice(ENDINGS)),),
}


def play(runs: int, seed: int, apply: Engine = chain.apply, first: int = 0) -> Counter[str]:
    """Play so many games of this seed, from number `first` on; how often each verb was done."""
    verbs: Counter[str] = Counter()
    for number in range(first, first + runs):
        Game(seed * 1_000_003 + number, verbs, apply).run()
    return verbs
