"""`crm doctor --slow`: how one GraphQL document is answered – its cost, its SQL, and how the database performs that."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
import typer
from graphql import DocumentNode, GraphQLError, OperationDefinitionNode, OperationType, get_operation_ast
from rich.console import Console

from crm_core.access.queries import actor_of
from crm_core.actors import Actor, Reach, system
from crm_core.cli.deployment import RefusedInWords, in_deployment, user_of
from crm_core.commands import Options, Outcome
from crm_core.db.explain import BIG, Explained, Scan, settled
from crm_core.db.layout import laid_out
from crm_core.errors import ConfigurationError, Fault
from crm_core.graphql.build import core_schema
from crm_core.graphql.context import Context, Fetch, Then
from crm_core.graphql.documents import Documents
from crm_core.graphql.execution import Executor, Operation
from crm_core.graphql.late import Given, Unplanned
from crm_core.graphql.limits import Measure, refuse_excess
from crm_core.graphql.plans import Plan
from crm_core.schema import schema_of
from crm_core.settings import Limits, Settings
from crm_core.work import Services

PATIENCE: Final = 60.0
"""Seconds a statement may take here; longer than in service, because the slow ones are asked about."""
SHORTENED: Final = 40
MUCH: Final = 100_000
_OK, _BAD, _NOTE = "[green]✓[/green]", "[red]✗[/red]", "[yellow]![/yellow]"


@dataclass(frozen=True)
class Question:
    """What is asked about: a document with variables, one of its operations, as whom; `values` shows bound values."""

    file: Path
    variables: Mapping[str, Any] = field(default_factory=dict)
    operation: str | None = None
    login: str | None = None
    values: bool = False


def variables_of(text: str | None) -> dict[str, Any]:
    """The variables meant by `--variables`: JSON, or `@` and the name of a file that holds it."""
    if text is None:
        return {}
    try:
        found = json.loads(read(Path(text[1:])) if text.startswith("@") else text)
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"--variables: not JSON: {error} (变量不是 JSON)") from None
    if not isinstance(found, dict):
        raise typer.BadParameter('--variables: write an object, e.g. {"id": "cus_…"} (变量须为 JSON 对象)')
    return found


def read(file: Path) -> str:
    """The text of a file; `ConfigurationError` where there is none."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: not UTF-8 at byte {error.start} (不是 UTF-8 文件)") from None
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror} (无法读取文件)") from None


def examine(settings: Settings, question: Question, console: Console) -> bool:
    """Print how the document is answered; whether no big table is read whole for it."""
    text = read(question.file)
    return in_deployment(settings, lambda services: Examination(services, question, console).of(text))


class Examination:
    """One document looked at."""

    def __init__(
        self,
        services: Services,
        question: Question,
        console: Console,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Say everything on this console; `timer` gives seconds."""
        self.services, self.question, self.console, self.timer = services, question, console, timer
        self.limits: Limits = services.settings.limits
        self.schema = core_schema(schema_of(services.registry))
        types, reads = services.registry.types, services.database.reads
        self.executor = Executor(self.schema, types, reads.dialect, self.limits)

    async def of(self, text: str) -> bool:
        """Show everything; whether nothing is wrong."""
        document = self._document(text)
        node = self._chosen(document)
        operation = self.executor.operation(document, node)
        actor = await self._actor()
        self._head(node, actor)
        self._cost(self._measured(operation))
        if node.operation is not OperationType.QUERY:
            self._say(
                _NOTE, "Only reads are shown; what a mutation does is not.", "仅分析查询，不分析变更操作。"
            )
            return True
        context = self._context(actor)
        begun = self.timer()
        try:
            plan, given = self.executor.plan_of(operation, self.question.variables, context)
            values = plan.bound(given)
        except Unplanned as why:
            await self._interpreted(operation, context, why)
            return True
        self._plan(plan, given, values, self.timer() - begun)
        return await self._performed(plan, values)

    # -- what is asked

    def _document(self, text: str) -> DocumentNode:
        found = Documents(self.schema, self.limits.tokens).read(text)
        if isinstance(found, DocumentNode):
            return found
        raise RefusedInWords("\n".join(_located(self.question.file, error) for error in found))

    def _chosen(self, document: DocumentNode) -> OperationDefinitionNode:
        node = get_operation_ast(document, self.question.operation)
        if node is not None:
            return node
        names = [
            d.name.value for d in document.definitions if isinstance(d, OperationDefinitionNode) and d.name
        ]
        raise RefusedInWords(
            f"{self.question.file}: name one operation by --operation: {', '.join(names) or 'it has none'}"
            " (请用 --operation 指明一个操作)"
        )

    async def _actor(self) -> Actor:
        services, login = self.services, self.question.login
        if login is None:
            return system(tuple(services.registry.lines))
        user = await user_of(services, login)
        return await actor_of(services.database.fetch, services.registry, user.id)

    def _measured(self, operation: Operation) -> Measure:
        try:
            return operation.meter.measure(self.question.variables)
        except GraphQLError as error:
            raise RefusedInWords(error.message) from None

    def _context(self, actor: Actor) -> Context:
        services = self.services

        async def perform(
            kind: str,
            body: Mapping[str, Any],
            options: Options,
            then: Then | None = None,
        ) -> tuple[Outcome, Fetch | None]:
            raise Fault("READ_ONLY", "Nothing is performed here")

        return Context(
            actor=actor,
            access=services.access(actor),
            services=services,
            fetch=services.database.fetch,
            answer=services.database.answer,
            perform=perform,
            limits=self.limits,
            language="en",
            messages=services.registry.messages,
            plugin_lines={p.name: services.registry.lines_of(p.name) for p in services.registry.plugins},
            request_id="doctor",
        )

    # -- what is shown

    def _say(self, mark: str, english: str, chinese: str) -> None:
        self.console.print(f"{mark} ", end="")
        self.console.print(english, markup=False, highlight=False)
        self.console.print(f"  {chinese}", markup=False, highlight=False)

    def _title(self, words: str) -> None:
        self.console.print(f"\n[bold]{words}[/bold]")

    def _text(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False)

    def _head(self, node: OperationDefinitionNode, actor: Actor) -> None:
        name = node.name.value if node.name else "(no name)"
        self._text(
            f"{node.operation.value} {name}, as {'the system itself' if actor.is_system else actor.name}"
        )

    def _cost(self, found: Measure) -> None:
        limits = self.limits
        parts = [f"cost {found.cost} of {limits.cost}", f"depth {found.depth} of {limits.depth}"]
        parts.append(f"aliases {found.aliases} of {limits.aliases}")
        try:
            refuse_excess(found, limits)
            self._say(_OK, ", ".join(parts), "查询成本、深度、别名均在限制之内。")
        except GraphQLError as error:
            self._say(_BAD, f"{', '.join(parts)}. {error.message}", "超出限制，服务器会拒绝该查询。")

    def _plan(self, plan: Plan, given: Given, values: Sequence[Any], seconds: float) -> None:
        shown = f"Compiled into one statement in {seconds * 1000:.1f} ms; served from memory afterwards."
        self._say(_OK, shown, "已编译为一条语句，之后由缓存提供。")
        self._title("Built for 编译依据")
        for line in _built_for(plan, given):
            self._text(f"  {line}")
        for line in _left_over(plan):
            self._text(f"  {line}")
        self._title("SQL")
        self._text(laid_out(plan.sql))
        self._title(f"Values 绑定值: {_kinds(values)}")
        if self.question.values:
            for place, value in enumerate(values, 1):
                self._text(f"  {place} {_kind(value)} {_shortened(value)}")

    async def _interpreted(self, operation: Operation, context: Context, why: Unplanned) -> None:
        detail = f" ({why})" if str(why) != why.reason else ""
        self._say(
            _NOTE,
            f"Not compiled, answered by the interpreter: {why.reason}{detail}.",
            "未能编译，由解释器逐级查询。",
        )
        sent: list[float] = []

        async def fetch(statement: Any) -> Sequence[Any]:
            begun = self.timer()
            try:
                return await self.services.database.fetch(statement)
            finally:
                sent.append(self.timer() - begun)

        context.fetch = fetch
        begun = self.timer()
        done = await self.executor.execute(operation, self.question.variables, context)
        took = self.timer() - begun
        for error in done.errors[:5]:
            self._say(_BAD, _located(self.question.file, error), "执行出错。")
        words = (
            f"{len(sent)} statement(s), {sum(sent) * 1000:.1f} ms of them in {took * 1000:.1f} ms altogether."
        )
        self._say(_NOTE, words, "语句数、数据库用时与总用时。")

    # -- what the database does

    async def _performed(self, plan: Plan, values: Sequence[Any]) -> bool:
        database = self.services.database
        try:
            plans = await settled(database, plan.sql, values, PATIENCE)
            self._title("Database 数据库执行计划")
            self._text(plans[0].text)
            for other in plans[1:]:
                self._title("For any values, from the sixth time on 第六次起的通用执行计划")
                self._text(other.text)
            self._title("Verdict 结论")
            await self._answered(plan, values)
        except Fault:
            raise
        except Exception as error:  # noqa: BLE001  # whatever the driver objects
            raise RefusedInWords(f"The database refuses the statement: {error} (数据库拒绝执行)") from None
        return self._verdict(plans)

    async def _answered(self, plan: Plan, values: Sequence[Any]) -> None:
        database, begun = self.services.database, self.timer()
        try:
            answer = await database.answer(plan.sql, values)
        except Fault as fault:
            if fault.code != "STATEMENT_TIMEOUT":
                raise
            self._say(_BAD, str(fault), "在服务中该查询会被取消。")
            return
        took = (self.timer() - begun) * 1000
        data = orjson.loads(answer)
        words = f"{took:.1f} ms, {_rows(data):,} rows, {len(answer):,} bytes of answer."
        self._say(_OK, words, "用时、行数、结果字节数。")

    def _verdict(self, plans: Sequence[Explained]) -> bool:
        scans = [scan for found in plans for scan in found.scans]
        whole = {scan.table: scan for scan in scans if scan.is_big}
        for scan in whole.values():
            self._whole(scan.table, scan.size)
        for words in dict.fromkeys(filter(None, map(_gone_through, scans))):
            self._say(_NOTE, *words)
        if not whole:
            self._say(_OK, "No big table is read whole.", "没有大表被全表扫描。")
        in_time = self.services.database.dialect == "sqlite" or all(found.performed for found in plans)
        if not in_time:
            english = f"It takes longer than {PATIENCE:.0f} s; the plan above is what was intended."
            self._say(_BAD, english, "执行超时，上面仅为预计的执行计划。")
        return in_time and not whole

    def _whole(self, table: str, size: int) -> None:
        self._say(
            _BAD,
            f"Table {table} ({size:,} rows) is read whole.",
            f"表 {table}（{size:,} 行）被全表扫描。",
        )
        self._text("  → Filter or sort by what an index holds, ask for fewer rows, or leave totalCount out.")
        self._text("  → 请按有索引的字段筛选或排序，减少行数，或去掉 totalCount。")


# -- words


def _gone_through(scan: Scan) -> tuple[str, str] | None:
    """What to say of a place where many rows are read, though not a big table from end to end."""
    if scan.is_big:
        return None
    if scan.rows is not None and scan.rows > MUCH:
        by = f" through {scan.index}" if scan.index else ""
        english = f"{scan.rows:,} rows of {scan.table} are gone through{by}."
        return english, f"共扫描 {scan.table} 的 {scan.rows:,} 行。"
    if scan.is_walked and scan.size > BIG:
        english = (
            f"{scan.table} ({scan.size:,} rows) is read in the order of {scan.index} until the page is full."
        )
        return english, f"按索引顺序读取 {scan.table}，直到取满一页为止。"
    return None


def _located(file: Path, error: GraphQLError) -> str:
    place = error.locations[0] if error.locations else None
    where = f":{place.line}:{place.column}" if place else ""
    return f"{file}{where}: {error.message}"


def _built_for(plan: Plan, given: Given) -> Iterator[str]:
    """On what the statement depends: how far the caller reaches, and the choices met while it was built."""
    actor = given.access.actor
    if actor.is_system:
        yield "everything (the system itself) 全部数据"
    for line, scopes in sorted(actor.grants.items()):
        counted = Counter(Reach(reach).name for reach in scopes.values())
        if counted:
            yield f"{line}: " + ", ".join(
                f"{n} permissions with reach {reach}" for reach, n in counted.items()
            )
    choices = []
    for choice in plan.trail:
        with suppress(Exception):  # what cannot be read again is not worth an end
            choices.append(_choice(choice(given)))
    if choices:
        yield "choices of the request 请求中的选择: " + ", ".join(choices)


def _choice(value: Any) -> str:
    if value is None or isinstance(value, bool | int):
        return json.dumps(value)
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        inner = [_choice(one) for one in value]
        return "[form of a filter]" if "?" in inner or len(inner) > 20 else f"({', '.join(inner)})"  # noqa: PLR2004
    return getattr(value, "name", None) or "?"


def _left_over(plan: Plan) -> Iterator[str]:
    """Fields that the statement does not answer."""
    for step in plan.steps:
        where = ".".join([*(key for key, _ in step.path), step.key])
        if step.error is not None:
            yield f"refused 拒绝: {where}: {step.error}"
        else:
            yield f"asked of a function of {step.declared.owner} 由插件函数计算: {where}"


def _kinds(values: Sequence[Any]) -> str:
    counted = Counter(map(_kind, values))
    return ", ".join(f"{count} × {kind}" for kind, count in counted.items()) or "none 无"


def _kind(value: Any) -> str:
    return "null" if value is None else "text" if isinstance(value, str) else type(value).__name__


def _shortened(value: Any) -> str:
    text = str(value)
    return text if len(text) <= SHORTENED else f"{text[:SHORTENED]}…"


def _rows(data: Any) -> int:
    """Objects in lists of the answer."""
    if isinstance(data, list):
        return sum(isinstance(one, dict) for one in data) + sum(map(_rows, data))
    return sum(map(_rows, data.values())) if isinstance(data, dict) else 0
