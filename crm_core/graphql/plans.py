"""Statements built before, kept by what they were built for; and what is done with the database's answer."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from graphql import FieldNode, GraphQLError, GraphQLOutputType, get_nullable_type, is_list_type, located_error
from graphql.pyutils import Path
from sqlalchemy import BindParameter, Dialect, Select, select
from sqlalchemy.exc import CompileError
from sqlalchemy.sql.compiler import SQLCompiler

from crm_core.actors import Actor
from crm_core.db.reader import EACH_TIME
from crm_core.db.session import is_about_statement
from crm_core.graphql.access import Access
from crm_core.graphql.context import Context
from crm_core.graphql.interpreter import computed, failed
from crm_core.graphql.late import Given, Late, Read, Trail, Unplanned
from crm_core.graphql.operations import hidden
from crm_core.graphql.planner import Planner, Step
from crm_core.graphql.values import shown

MOST_PLANS = 2_000
"""Statements remembered; the least lately used operation is forgotten first."""
_LITERAL = (str, int)


@dataclass(eq=False)
class Plan:
    """A statement ready to be sent, how its values are read from a request, and what is left to do with its answer.

    `trail` reads what the plan was built on, `left` are root fields for the interpreter. `tried`: the database has seen
    it; `broken` is its objection, if it had one. `unasked` reads values that must be sound, but are not sent. `statement`
    is kept where it may be sent inside a transaction: it takes three times the room of all the rest.
    """

    sql: str
    values: tuple[Read, ...]
    steps: tuple[Step, ...]
    trail: tuple[Read, ...] = ()
    unasked: tuple[Read, ...] = ()
    statement: Select[Any] | None = None
    left: Mapping[str, list[FieldNode]] = field(default_factory=dict)
    broken: Exception | None = None
    tried: bool = False

    def objected(self, error: Exception) -> Unplanned:
        """The database objected to the statement, which is not sent again, or to a value of this request."""
        if is_about_statement(error):
            self.broken = error
        return Unplanned("database", str(error))

    def again(self, given: Given) -> None:
        """Read once more what the plan was built on, for values that are found on the way."""
        for read in self.trail:
            read(given)

    def bound(self, given: Given) -> list[Any]:
        """The values for one request; `Unplanned` when one cannot be had."""
        try:
            for read in self.unasked:
                read(given)
            return [read(given) for read in self.values]
        except Exception as error:
            raise Unplanned("value", str(error)) from error


Build = Callable[[Trail, Access], tuple[Select[Any], Planner]]


class Plans:
    """Plans by operation and reach, then by the choices each was built on."""

    def __init__(self, dialect: Dialect, most: int = MOST_PLANS) -> None:
        """Remember at most so many plans."""
        self._dialect, self._most = dialect, most
        self._roots: OrderedDict[Hashable, _Branch] = OrderedDict()
        self._size = 0
        self.built = 0

    @property
    def size(self) -> int:
        """How many are remembered."""
        return self._size

    def find(self, key: Hashable, given: Given, build: Build, *, keep: bool = False) -> Plan:
        """The plan for this request: remembered, or built now; `keep` its statement as well.

        Raises `Unplanned`, which is remembered too, unless it is about a value of this request.
        """
        root = self._roots.get(key)
        if root is not None:
            self._roots.move_to_end(key)
        found = root.find(given) if root is not None else None
        if found is None:
            root = root or _Branch()
            found = self._built(given, build, root, keep=keep)
            self._roots[key] = root
            self._size += 1
            self._forget()
        if isinstance(found, Unplanned):
            raise Unplanned(found.reason, str(found))
        if found.broken is not None:
            raise Unplanned("database", str(found.broken))
        return found

    def _built(self, given: Given, build: Build, root: _Branch, *, keep: bool) -> Plan | Unplanned:
        self.built += 1
        trail = Trail(given)
        try:
            found: Plan | Unplanned = self._compiled(trail, build, keep=keep)
        except Unplanned as reason:
            if reason.reason == "value":
                raise
            found = Unplanned(reason.reason, str(reason))
        except Exception as error:  # noqa: BLE001  # a plugin's declaration fails; the interpreter tells where
            found = Unplanned("declaration", str(error))
        root.keep(trail.steps, found)
        return found

    def _compiled(self, trail: Trail, build: Build, *, keep: bool) -> Plan:
        """The plan; one into which something of the caller himself is built is refused."""
        plan = self._statement(trail, trail.given.access, build, keep=keep)
        decoy = _somebody_else(trail.given.access)
        stranger = replace(trail.given, access=decoy, more=dict(trail.given.more))
        other = self._statement(Trail(stranger), decoy, build, keep=False)
        if (plan.sql, _constants(plan)) != (other.sql, _constants(other)):
            raise Unplanned("caller", "a value of the caller is part of the statement")
        return plan

    def _statement(self, trail: Trail, access: Access, build: Build, *, keep: bool) -> Plan:
        with _tidied():
            return self._written(trail, access, build, keep=keep)

    def _written(self, trail: Trail, access: Access, build: Build, *, keep: bool) -> Plan:
        statement, planner = build(trail, access)
        try:
            text, values = self._text(statement, access)
            unasked = self._text(select().where(*planner.unasked), access)[1] if planner.unasked else ()
        except (CompileError, RecursionError) as error:
            raise Unplanned("statement", str(error)) from error
        if planner.uneven and access.dialect == "postgresql":
            text = EACH_TIME + text
        reads = tuple(read for read, _ in trail.steps)
        kept = statement if keep else None
        return Plan(text, values, tuple(planner.steps), reads, unasked, kept, planner.left)

    def _text(self, statement: Select[Any], access: Access) -> tuple[str, tuple[Read, ...]]:
        compiler = _compiler(self._dialect.statement_compiler)  # type: ignore[arg-type]  # a class is hashable
        compiled = compiler(self._dialect, statement, compile_kwargs={"render_postcompile": True})
        return compiled.string, _values(compiled, access)

    def _forget(self) -> None:
        while self._size > self._most and len(self._roots) > 1:
            _, dropped = self._roots.popitem(last=False)
            self._size -= dropped.size()
        if self._size > self._most:
            self._roots.clear()
            self._size = 0


@contextmanager
def _tidied() -> Iterator[None]:
    """Collect what building a statement leaves behind: cycles of some MiB, all among what was made meanwhile."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
            gc.collect(0)


@dataclass
class _Branch:
    """What is known after some choices: the next one to read, or the plan."""

    read: Read | None = None
    further: dict[Hashable, _Branch] = field(default_factory=dict)
    plan: Plan | Unplanned | None = None

    def find(self, given: Given) -> Plan | Unplanned | None:
        here: _Branch = self
        while here.read is not None:
            try:
                value = here.read(given)
            except Unplanned:
                raise
            except Exception as error:
                raise Unplanned("value", str(error)) from error
            found = here.further.get(value)
            if found is None:
                return None
            here = found
        return here.plan

    def keep(self, steps: Sequence[tuple[Read, Hashable]], plan: Plan | Unplanned) -> None:
        here = self
        for read, value in steps:
            if here.read is None:
                here.read = read
            here = here.further.setdefault(value, _Branch())
        here.plan = plan

    def size(self) -> int:
        return (self.plan is not None) + sum(one.size() for one in self.further.values())


def _somebody_else(access: Access) -> Access:
    """Another caller at another moment whose rights reach as far; in teams where this one is in none, and in none else."""
    actor = access.actor
    stranger = UUID(int=0xDEC0)
    teams = {line: frozenset(() if actor.teams.get(line) else (stranger,)) for line in actor.grants}
    other: Actor = replace(
        actor,
        user_id=None if actor.user_id is None else stranger,
        name="somebody else",
        teams=teams,
        subtree=teams,
        token_id=stranger,
    )
    return replace(access, actor=other, now=access.now + timedelta(days=40, seconds=12_345))


def _constants(plan: Plan) -> list[Any]:
    return [read.value for read in plan.values if isinstance(read, _Constant)]


# -- from a statement to its text and values


@dataclass(frozen=True, slots=True)
class _Constant:
    value: Any

    def __call__(self, _given: Given) -> Any:
        return self.value


@cache
def _compiler(base: type[SQLCompiler]) -> type[SQLCompiler]:
    """A compiler that writes constants of declarations into the statement and leaves values of requests out."""

    class PlanCompiler(base):  # type: ignore[valid-type,misc]  # the dialect's own
        def visit_bindparam(self, bindparam: BindParameter[Any], **options: Any) -> str:
            if _is_constant(bindparam):
                options["literal_binds"] = True
            return str(super().visit_bindparam(bindparam, **options))

    return PlanCompiler


def _is_constant(bound: BindParameter[Any]) -> bool:
    value = bound.value
    if not bound.unique:
        return False
    if bound.expanding:
        return bool(value) and all(isinstance(one, _LITERAL) for one in value or ())
    return isinstance(value, _LITERAL)


def _values(compiled: Any, access: Access) -> tuple[Read, ...]:
    """How each value of the statement is read from a request, in the order of its places."""
    state = compiled.construct_expanded_state()
    order = state.positiontup or compiled.positiontup or ()
    return tuple(_value(name, compiled, state, access.values) for name in order)


def _value(name: str, compiled: SQLCompiler, state: Any, names: Mapping[str, Any]) -> Read:
    bound = compiled.binds.get(name)
    value = state.parameters[name] if bound is None or bound.expanding else bound.value
    process: Any = state.processors.get(name) or compiled._bind_processors.get(name)  # noqa: SLF001  # by type
    if bound is not None and not bound.unique and name in names:
        return _named(name, process)
    if isinstance(value, Late):
        return value.read if process is None else value.then(process).read
    return _Constant(value if process is None else process(value))


def _named(name: str, process: Callable[[Any], Any] | None) -> Read:
    if process is None:
        return lambda given: given.access.values[name]
    return lambda given: process(given.access.values[name])


# -- after the answer


async def finished(
    data: dict[str, Any], plan: Plan, context: Context, *at: str
) -> tuple[dict[str, Any], list[GraphQLError]]:
    """The answer with its remaining fields: refusals become errors where they stand, functions are asked once each.

    `at` is where the data stands in the whole answer.
    """
    errors: list[GraphQLError] = []
    root: Path | None = None
    for key in at:
        root = Path(root, key, None)
    for step in plan.steps:
        places = list(_places(data, step.path, root))
        if step.error is not None:
            errors += [
                located_error(step.error, step.nodes, Path(here, step.key, None).as_list())
                for _, here in places
            ]
        elif places:
            errors += await _ask(step, places, context)
    for step in plan.steps:
        for name in step.needs:
            for one, _ in _places(data, step.path, None):
                one.pop(hidden(name), None)
    return data, errors


def _places(
    data: Any, path: Sequence[tuple[str, bool]], at: Path | None
) -> Iterator[tuple[dict[str, Any], Path | None]]:
    """The objects at a path, each with where it stands."""
    if not path:
        yield data, at
        return
    (key, many), *rest = path
    found, here = data.get(key), Path(at, key, None)
    if found is None:
        return
    if not many:
        yield from _places(found, rest, here)
        return
    for index, one in enumerate(found):
        yield from _places(one, rest, Path(here, index, None))


async def _ask(
    step: Step, places: Sequence[tuple[dict[str, Any], Path | None]], context: Context
) -> list[GraphQLError]:
    errors: list[GraphQLError] = []
    rows = [{name: read(one[hidden(name)]) for name, read in step.needs.items()} for one, _ in places]
    values: Sequence[Any]
    try:
        values = await computed(step.declared, rows, context)
    except Exception as error:  # noqa: BLE001  # it becomes the field's error, for each row
        values = [error] * len(rows)
    show = shown(step.declared.type)
    for (one, at), value in zip(places, values, strict=True):
        try:
            if isinstance(value, Exception):
                raise value
            one[step.key] = None if value is None else _serialised(show, value, step)
        except Exception as error:  # noqa: BLE001
            one[step.key] = None
            errors.append(located_error(error, step.nodes, Path(at, step.key, None).as_list()))
    return errors


def _serialised(show: Callable[[Any], Any], value: Any, step: Step) -> Any:
    try:
        return _leaf(step.type, show(value))
    except GraphQLError:
        raise
    except Exception as error:
        raise failed(step.declared) from error


def _leaf(type_: GraphQLOutputType, value: Any) -> Any:
    plain = get_nullable_type(type_)
    if value is None:
        return None
    if is_list_type(plain):
        return [_leaf(plain.of_type, one) for one in value]
    return plain.serialize(value)  # type: ignore[union-attr]  # a batch field is a leaf or a list of leaves


__all__ = ["Plan", "Plans", "finished"]
