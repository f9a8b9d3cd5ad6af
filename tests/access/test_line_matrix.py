"""The line matrix: every type with a row rule × lines × reach, against an oracle that looks at all rows in Python.

Looked through: root connections with their counts, `node(id:)`, nested fields two levels deep, `where` on relations.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import inspect, select

from crm_core import ids
from crm_core.access.models import Absence, ApiToken, TeamMember, UsageReview
from crm_core.actors import Actor, Reach
from crm_core.approvals.attached import ApprovalAttachment
from crm_core.approvals.filed import ControlledDocument
from crm_core.approvals.models import Approval, ApprovalBatch, ApprovalCopy, ApprovalPolicy, ApprovalTask
from crm_core.audit.models import AuditEntry
from crm_core.contacts.models import Contact
from crm_core.customers.models import (
    Customer,
    CustomerDocument,
    CustomerLine,
    CustomerLineChange,
    CustomerTransaction,
    DuplicateFlag,
)
from crm_core.graphql.access import Access
from crm_core.graphql.fields import Field, ObjectType
from crm_core.imports.models import ImportFinding, ImportRun
from crm_core.incoming.models import IncomingRequest, IncomingSource
from crm_core.interactions.models import (
    Cadence,
    CallbackPlan,
    Interaction,
    InteractionReport,
    Participant,
    SalesMeeting,
    Task,
)
from crm_core.jobs.models import QueuedJob
from crm_core.notices.models import Notice, NoticeDelivery, NoticePreference
from crm_core.outbox.models import OutboxEvent
from crm_core.testing.kit import Kit
from crm_core.webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookReplay

MOMENT = datetime(2025, 11, 1, tzinfo=UTC)
PAGE = 100
GIVEN_BY_THE_BASE = ("id", "created_at", "updated_at", "version")


# -- the made-up company


@dataclass
class Viewer:
    """Somebody who looks: his reach per line for every permission, and the teams he belongs to, in plain values."""

    name: str
    reach: Mapping[str, Reach]
    actor: Actor
    teams: set[UUID]
    below: set[UUID]

    @property
    def everything(self) -> bool:
        return Reach.ALL in self.reach.values()


@dataclass
class Company:
    """Everything there is: rows by type name, viewers, and whom roles belong to."""

    rows: dict[str, list[Any]]
    lines_of_customer: dict[UUID, list[Any]]
    viewers: list[Viewer]
    roles: dict[UUID, str]


def filled(model: Any, number: int, **known: Any) -> Any:
    """A row with made-up values in every column that needs one."""
    values = dict(known)
    for column in inspect(model).columns:
        owed = not column.nullable and column.default is None and column.key not in GIVEN_BY_THE_BASE
        if owed and column.key not in values:
            values[column.key] = _made_up(column, number)
    return model(**values)


def _made_up(column: Any, number: int) -> Any:
    named = {"UtcDateTime": MOMENT, "Date": date(2025, 11, 1), "JSON": [], "Boolean": False}
    if type(column.type).__name__ in named:
        return named[type(column.type).__name__]
    if column.type.python_type is int:
        return number
    return f"{column.key[:8]}{number}"[-(column.type.length or 40) :]


async def company(crm: Kit) -> Company:
    """Two lines with teams, a viewer for every reach, and records of every owner in every combination of lines."""
    head, north = await crm.team("showroom"), await crm.team("north", "west")
    below = await crm.team("bay", parent=head)
    fleet = await crm.team("fleet")
    scopes = list(crm.services.registry.scopes)
    viewers = []
    for reach in Reach:
        actor = await crm.actor(reach.name.lower(), dict.fromkeys(scopes, reach), team=head)
        viewers.append(Viewer(reach.name, {"east": reach}, actor, {head}, {head, below}))
    viewers.append(await mixed(crm, scopes, head, north, below))
    viewers.append(
        Viewer(
            "WEST OWN",
            {"west": Reach.OWN},
            await crm.actor("west own", dict.fromkeys(scopes, Reach.OWN), lines=("west",)),
            set(),
            set(),
        )
    )
    mates = [
        await crm.actor(name, {}, team=team)
        for name, team in (("mate", head), ("junior", below), ("stranger", fleet))
    ]
    people = [v.actor.user_id for v in viewers] + [m.user_id for m in mates] + [None]
    async with crm.database.transaction() as session:
        maker = Maker(session, people, {"east": [head, below, fleet, None], "west": [north, None]})
        await maker.make()
    return await recorded(crm, viewers)


async def mixed(crm: Kit, scopes: Sequence[str], head: UUID, north: UUID, below: UUID) -> Viewer:
    """A viewer with his own records in the east and the whole west."""
    actor = await crm.actor("mixed", dict.fromkeys(scopes, Reach.OWN), team=head)
    assert actor.user_id is not None
    given = [{"scope": s, "reach": int(Reach.LINE)} for s in scopes]
    await crm.perform("role.define", {"name": "whole west", "scopes": given})
    await crm.perform("role.grant", {"user_id": actor.user_id, "role": "whole west", "line": "west"})
    await crm.perform("team.set_member", {"id": north, "user_id": actor.user_id})
    again = await crm.again(actor.user_id)
    return Viewer(
        "OWN+LINE", {"east": Reach.OWN, "west": Reach.LINE}, again, {head, north}, {head, north, below}
    )


@dataclass
class Maker:
    """Writes the rows; owners and teams take turns, so that every combination comes up."""

    session: Any
    people: Sequence[UUID | None]
    teams: Mapping[str, Sequence[UUID | None]]
    count: Iterator[int] = field(default_factory=itertools.count)

    async def add(self, model: Any, **known: Any) -> Any:
        row = filled(model, next(self.count), **known)
        self.session.add(row)
        await self.session.flush()
        return row

    def person(self, shift: int = 0) -> UUID | None:
        return self.people[(next(self.count) + shift) % len(self.people)]

    def somebody(self) -> UUID:
        return next(p for p in iter(self.person, object()) if p is not None)

    async def make(self) -> None:
        for lines in (["east"], ["west"], ["east", "west"]):
            for owner in self.people:
                await self.customer(lines, owner)
        for line in ("east", "west"):
            await self.of_line(line)
        for person in self.people:
            if person is not None:
                await self.add(ApiToken, user_id=person, scopes=None, lines=None)
                await self.add(ApprovalBatch, user_id=person, results=[])
                await self.add(NoticePreference, user_id=person, kinds=[], language="en")
                await self.add(Absence, user_id=person, deputy_id=self.somebody(), line=None, kinds=None)

    async def customer(self, lines: Sequence[str], owner: UUID | None) -> None:
        customer = await self.add(Customer, kind="PERSON", secrecy="INTERNAL")
        await self.add(Contact, customer_id=customer.id, line=None)
        for line in lines:
            team = self.teams[line][next(self.count) % len(self.teams[line])]
            here = await self.add(
                CustomerLine, customer_id=customer.id, line=line, owner_id=owner, team_id=team
            )
            await self.add(CustomerLineChange, customer_line_id=here.id, by_id=self.person())
            own = {"customer_id": customer.id, "line": line}
            await self.add(CustomerDocument, **own, filed_by_id=self.person())
            await self.add(CustomerTransaction, **own, recorded_by_id=self.person())
            contact = await self.add(Contact, **own)
            talk = await self.add(
                Interaction,
                **own,
                performer_id=self.person(),
                status="DONE",
                kind="call",
                occurred_on=date(2025, 11, 1),
            )
            await self.add(Participant, interaction_id=talk.id, contact_id=contact.id)
            await self.add(InteractionReport, interaction_id=talk.id, line=line, user_id=self.somebody())
            await self.add(
                Task, **own, interaction_id=talk.id, assignee_id=self.person(), creator_id=self.person(2)
            )
            owner = self.person(3)

    async def of_line(self, line: str) -> None:
        other = "west" if line == "east" else "east"
        for team in self.teams[line]:
            for _ in range(4):
                await self.add(
                    Task, line=line, assignee_id=self.person(), creator_id=self.person(1), team_id=team
                )
                await self.add(SalesMeeting, line=line, team_id=team, chair_id=self.person())
        await self.add(CallbackPlan, line=line, team_id=self.teams[line][0])
        await self.add(Cadence, line=line)
        first, second = (
            await self.add(Customer, kind="PERSON", secrecy="INTERNAL"),
            await self.add(Customer, kind="PERSON", secrecy="INTERNAL"),
        )
        await self.add(DuplicateFlag, customer_id=first.id, other_id=second.id, line=line, foreign_line=line)
        await self.add(DuplicateFlag, customer_id=first.id, other_id=second.id, line=line, foreign_line=other)
        await self.add(UsageReview, line=line)
        run = await self.add(ImportRun, line=line)
        await self.add(ImportFinding, run_id=run.id, line=line)
        await self.add(AuditEntry, line=line, command={}, changes=[])
        told = {"data": {}, "changed_fields": [], "position": next(self.count)}
        await self.add(OutboxEvent, line=line, subject_id=first.id, **told)
        hook = await self.add(
            WebhookEndpoint, line=line, state="ACTIVE", ordered="NONE", kinds=[], scopes=[], header_names=[]
        )
        await self.add(WebhookDelivery, endpoint_id=hook.id, line=line, state="WAITING")
        await self.add(WebhookReplay, endpoint_id=hook.id, line=line, asked={})
        source = await self.add(IncomingSource, line=line, options={}, actor_id=self.somebody())
        await self.add(IncomingRequest, source_id=source.id, line=line, state="DONE", headers={}, query={})
        for asked in self.people:
            await self.add(QueuedJob, line=line, requester_id=asked, state="DONE", arguments={}, labels={})
        await self.add(ControlledDocument, line=line, state="DRAFT", kind="POLICY")
        policy = await self.add(ApprovalPolicy, line=line, stages=[], condition={})
        for asked in self.people:
            await self.approval(line, policy, asked)
            if asked is not None:
                own = {"user_id": asked, "line": line}
                notice = await self.add(Notice, **own, facts={})
                await self.add(NoticeDelivery, notice_id=notice.id, language="en", **own)

    async def approval(self, line: str, policy: Any, asked: UUID | None) -> None:
        known = {"policy_id": policy.id, "options": {}, "body": {}, "chain": {}, "state": "PENDING"}
        approval = await self.add(Approval, line=line, requester_id=self.somebody(), **known)
        role = None if asked else "whole west"
        await self.add(
            ApprovalTask, approval_id=approval.id, line=line, user_id=asked, role=role, state="OPEN",
            instead_of_id=self.person(2), added_by_id=None, signer_id=self.person(3),
        )  # fmt: skip
        await self.add(ApprovalCopy, approval_id=approval.id, line=line, user_id=self.somebody())
        await self.add(ApprovalAttachment, approval_id=approval.id, line=line, user_id=self.somebody())


async def recorded(crm: Kit, viewers: list[Viewer]) -> Company:
    """All rows as they stand in the database."""
    kinds = [k for k in crm.services.registry.types.values() if k.rule is not None and k.model is not None]
    rows = {kind.name: await crm.rows(kind.model) for kind in kinds}
    rows |= {model.__name__: await crm.rows(model) for model in (TeamMember, ApprovalTask, ApprovalCopy)}
    lines_of_customer: dict[UUID, list[Any]] = {}
    for row in rows["CustomerLine"]:
        lines_of_customer.setdefault(row.customer_id, []).append(row)
    return Company(rows, lines_of_customer, viewers, {r.id: r.name for r in rows["Role"]})


# -- the oracle: who may see what, in plain Python


def within(viewer: Viewer, line: str, owner: UUID | None, team: UUID | None) -> bool:
    """Whether a row with this line, owner and team lies within the viewer's reach."""
    if viewer.everything:
        return True
    how_far = viewer.reach.get(line)
    if how_far is None:
        return False
    if how_far == Reach.LINE or (owner is not None and owner == viewer.actor.user_id):
        return True
    if how_far == Reach.TEAM:
        return team in viewer.teams
    return how_far == Reach.SUBTREE and team in viewer.below


def customer_in(c: Company, viewer: Viewer, customer: UUID, line: str | None = None) -> bool:
    """Whether the viewer reaches the customer in this line (None: in any)."""
    rows = [r for r in c.lines_of_customer.get(customer, []) if line is None or r.line == line]
    return any(within(viewer, r.line, r.owner_id, r.team_id) for r in rows) or viewer.everything


def is_mine(viewer: Viewer, *people: UUID | None) -> bool:
    return viewer.actor.user_id in people


def whole(viewer: Viewer, line: str | None) -> bool:
    return viewer.everything or viewer.reach.get(line or "", Reach.OWN) >= Reach.LINE


def shares_line(c: Company, viewer: Viewer, user: UUID) -> bool:
    grants = [g for g in c.rows["RoleGrant"] if g.user_id == user]
    return any(g.line is None or g.line in viewer.reach for g in grants)


def sees_task(c: Company, viewer: Viewer, row: Any) -> bool:
    if viewer.everything:
        return True
    if row.line not in viewer.reach:
        return False
    if is_mine(viewer, row.assignee_id, row.creator_id):
        return True
    if row.customer_id is None:
        return within(viewer, row.line, row.assignee_id, row.team_id)
    return customer_in(c, viewer, row.customer_id, row.line)


def sees_approval(c: Company, viewer: Viewer, row: Any) -> bool:
    if whole(viewer, row.line):
        return True
    if row.line not in viewer.reach:
        return False
    held = {
        c.roles[g.role_id]
        for g in c.rows["RoleGrant"]
        if is_mine(viewer, g.user_id) and g.line in (None, row.line)
    }
    asked = [t for t in c.rows["ApprovalTask"] if t.approval_id == row.id]
    shown = [t.user_id for t in c.rows["ApprovalCopy"] if t.approval_id == row.id]
    return is_mine(viewer, row.requester_id, *shown) or any(
        is_mine(viewer, t.user_id, t.instead_of_id, t.signer_id) or (t.user_id is None and t.role in held)
        for t in asked
    )


def sees_talk(c: Company, viewer: Viewer, row: Any) -> bool:
    here = row.line in viewer.reach and (
        is_mine(viewer, row.performer_id) or customer_in(c, viewer, row.customer_id, row.line)
    )
    return viewer.everything or here


ORACLE: Mapping[str, Callable[[Company, Viewer, Any], bool]] = {
    "User": lambda c, v, r: v.everything or is_mine(v, r.id) or shares_line(c, v, r.id),
    "Team": lambda _c, v, r: r.line in v.reach,
    "BusinessLine": lambda _c, v, r: r.code in v.reach,
    "Role": lambda _c, _v, _r: True,
    "RoleGrant": lambda _c, v, r: v.everything or r.line is None or r.line in v.reach,
    "ApiToken": lambda _c, v, r: v.everything or is_mine(v, r.user_id),
    "Absence": lambda _c, v, r: v.everything or is_mine(v, r.user_id, r.deputy_id),
    "UsageReview": lambda _c, v, r: whole(v, r.line),
    "AuditEntry": lambda _c, v, r: whole(v, r.line),
    "Event": lambda _c, v, r: r.position is not None and whole(v, r.line),
    "Approval": sees_approval,
    "ApprovalAttachment": lambda c, v, r: any(
        sees_approval(c, v, one) for one in c.rows["Approval"] if one.id == r.approval_id
    ),
    "ApprovalBatch": lambda _c, v, r: is_mine(v, r.user_id),
    "Notice": lambda _c, v, r: is_mine(v, r.user_id),
    "NoticePreference": lambda _c, v, r: is_mine(v, r.user_id),
    "NoticeDelivery": lambda _c, v, r: whole(v, r.line),
    "WebhookEndpoint": lambda _c, v, r: whole(v, r.line),
    "WebhookDelivery": lambda _c, v, r: whole(v, r.line),
    "WebhookReplay": lambda _c, v, r: whole(v, r.line),
    "IncomingSource": lambda _c, v, r: whole(v, r.line),
    "IncomingRequest": lambda _c, v, r: whole(v, r.line),
    "Job": lambda _c, v, r: within(v, r.line, r.requester_id, None),
    "ApprovalPolicy": lambda _c, v, r: v.everything or r.line in v.reach,
    "ControlledDocument": lambda _c, v, r: v.everything or r.line in v.reach,
    "Customer": lambda c, v, r: customer_in(c, v, r.id),
    "CustomerLine": lambda _c, v, r: within(v, r.line, r.owner_id, r.team_id),
    "CustomerDocument": lambda c, v, r: customer_in(c, v, r.customer_id, r.line),
    "CustomerTransaction": lambda c, v, r: customer_in(c, v, r.customer_id, r.line),
    "DuplicateFlag": lambda _c, v, r: v.everything or r.line in v.reach or r.foreign_line in v.reach,
    "Contact": lambda c, v, r: customer_in(c, v, r.customer_id, r.line),
    "ImportFinding": lambda _c, v, r: whole(v, r.line),
    "ImportRun": lambda _c, v, r: whole(v, r.line),
    "Interaction": sees_talk,
    "InteractionReport": lambda _c, v, r: is_mine(v, r.user_id) and r.line in v.reach,
    "Task": sees_task,
    "Cadence": lambda _c, v, r: v.everything or r.line in v.reach,
    "CallbackPlan": lambda _c, v, r: v.everything or r.line in v.reach,
    "SalesMeeting": lambda _c, v, r: within(v, r.line, r.chair_id, r.team_id),
}


def is_own(c: Company, viewer: Viewer, kind: str, row: Any) -> bool:
    """Whether a row belongs to a line of the viewer; rows of no line count as own."""
    if kind == "Customer":
        return any(r.line in viewer.reach for r in c.lines_of_customer.get(row.id, []))
    if kind == "User":
        return shares_line(c, viewer, row.id)
    line = getattr(row, "line", getattr(row, "code", None))
    return line is None or line in viewer.reach


# -- looking through the API


@dataclass
class Findings:
    """What came out: leaks and losses with the path they came by, and how many rows each cell holds."""

    leaks: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    cells: dict[tuple[str, str, bool], list[int]] = field(default_factory=dict)
    looks: int = 0


@dataclass
class Look:
    """One viewer at the API."""

    crm: Kit
    viewer: Viewer
    company: Company
    found: Findings
    may: dict[str, set[str]] = field(default_factory=dict)

    @property
    def types(self) -> Mapping[str, ObjectType]:
        return self.crm.services.registry.types

    def roots(self) -> Iterator[tuple[str, ObjectType]]:
        for query in self.crm.services.registry.queries:
            if isinstance(query, Field) and query.kind == "query_connection":
                yield query.name, self.types[query.target]

    async def everywhere(self) -> None:
        for kind in self.types.values():
            if kind.rule is not None:
                self.expect(kind)
        for kind in self.types.values():
            if kind.rule is not None and kind.prefix is not None:
                await self.by_node(kind)
        for name, kind in self.roots():
            if kind.rule is not None:
                await self.by_root(name, kind)
            await self.nested(name, kind)
            await self.by_where(name, kind)

    def expect(self, kind: ObjectType) -> None:
        rows = self.company.rows[kind.name]
        seen = {r.id for r in rows if ORACLE[kind.name](self.company, self.viewer, r)}
        self.may[kind.prefix or kind.name] = {ids.show(kind.prefix or "row", one) for one in seen}
        for row in rows:
            cell = self.found.cells.setdefault(
                (kind.name, self.viewer.name, is_own(self.company, self.viewer, kind.name, row)), [0, 0]
            )
            cell[0] += row.id in seen
            cell[1] += 1

    async def ask(self, document: str) -> Any:
        self.found.looks += 1
        answer = await self.crm.ask(document, self.viewer.actor)
        assert not answer.errors, (self.viewer.name, document[:300], answer.errors[:2])
        return answer.data

    def judge(self, path: str, answer: Any) -> None:
        """Every id that came out must be one the viewer may see."""
        for shown in shown_ids(answer):
            prefix = shown.split("_")[0]
            if prefix in self.may and shown not in self.may[prefix]:
                self.found.leaks.append(f"{self.viewer.name}: {shown} by {path}")

    async def by_node(self, kind: ObjectType) -> None:
        """Some of the rows that may be seen and more of those that may not, by their ids."""
        may = self.may[kind.prefix or ""]
        shown = sorted(ids.show(kind.prefix or "", r.id) for r in self.company.rows[kind.name])
        chosen = [one for one in shown if one not in may][::2][:20] + sorted(may)[:5]
        aliases = " ".join(f'n{i}: node(id: "{one}") {{ id }}' for i, one in enumerate(chosen))
        data = await self.ask(f"{{ {aliases or '__typename'} }}")
        self.judge(f"node of {kind.name}", data)
        missing = set(sorted(may)[:5]) - set(shown_ids(data))
        self.found.lost += [f"{self.viewer.name}: {one} by node" for one in missing]

    async def by_root(self, name: str, kind: ObjectType) -> None:
        after = "null"
        got: list[str] = []
        while True:
            page = (
                await self.ask(
                    f"{{ {name}(first: {PAGE}, after: {after}) {{ totalCount nodes {{ id }} pageInfo {{ hasNextPage endCursor }} }} }}"
                )
            )[name]
            got += shown_ids(page["nodes"])
            if not page["pageInfo"]["hasNextPage"]:
                break
            after = f'"{page["pageInfo"]["endCursor"]}"'
        self.judge(name, [{"id": one} for one in got])
        expected = self.may[kind.prefix or kind.name]
        self.found.lost += [f"{self.viewer.name}: {one} by {name}" for one in expected - set(got)]
        if page["totalCount"] != len(expected):
            self.found.leaks.append(
                f"{self.viewer.name}: {name} counts {page['totalCount']}, not {len(expected)}"
            )

    async def nested(self, name: str, kind: ObjectType) -> None:
        for one in kind.fields:
            selection = self.selection(one, depth=2)
            if selection:
                data = await self.ask(f"{{ {name}(first: {PAGE}) {{ nodes {{ {selection} }} }} }}")
                self.judge(f"{name}.{one.name}", data)
                for parent in data[name]["nodes"]:
                    self.counts(parent[one.name], f"{name}.{one.name}")

    def counts(self, answer: Any, path: str) -> None:
        if (
            isinstance(answer, dict)
            and "totalCount" in answer
            and answer["totalCount"] != len(answer["nodes"])
        ):
            self.found.leaks.append(f"{self.viewer.name}: {path} counts more than it shows")

    def selection(self, one: Field, depth: int) -> str:
        """The field with the ids behind it, two levels deep; empty when there are none."""
        if one.kind not in ("relation", "listing", "connection"):
            return ""
        target = self.types[one.target]
        inner = "id " if "id" in target.by_name else ""
        if depth > 1:
            inner += " ".join(self.selection(f, depth - 1) for f in target.fields if f.kind != "connection")
        if not inner.strip():
            return ""
        return (
            f"{one.name}(first: {PAGE}) {{ totalCount nodes {{ {inner} }} }}"
            if one.kind == "connection"
            else f"{one.name} {{ {inner} }}"
        )

    async def by_where(self, name: str, kind: ObjectType) -> None:
        """A filter on a related record that may not be seen must find nothing."""
        for one in kind.fields:
            target = self.types.get(one.target)
            if not one.filter or target is None or target.rule is None or not target.by_name["id"].filter:
                continue
            hidden = {ids.show(target.prefix or "", r.id) for r in self.company.rows[target.name]} - self.may[
                target.prefix or ""
            ]
            for chunk in itertools.zip_longest(*[iter(sorted(hidden))] * PAGE):
                listed = ", ".join(f'"{h}"' for h in chunk if h)
                data = await self.ask(
                    f"{{ {name}(where: {{{one.name}: {{id: {{in: [{listed}]}}}}}}) {{ totalCount }} }}"
                )
                if data[name]["totalCount"]:
                    self.found.leaks.append(
                        f"{self.viewer.name}: {name} where {one.name} finds what is hidden"
                    )


def shown_ids(answer: Any) -> Iterator[str]:
    """Every id anywhere in an answer."""
    if isinstance(answer, dict):
        if isinstance(answer.get("id"), str):
            yield answer["id"]
        for value in answer.values():
            yield from shown_ids(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from shown_ids(value)


def table(found: Findings, names: Sequence[str]) -> str:
    """Rows seen of all rows, own lines and foreign ones, for each type and reach."""
    kinds = sorted({kind for kind, _, _ in found.cells})
    lines = [f"{'seen/all: own lines, foreign':28}" + "".join(f"{name:>18}" for name in names)]
    for kind in kinds:
        cells = [
            "{}/{} {}/{}".format(
                *found.cells.get((kind, n, True), [0, 0]), *found.cells.get((kind, n, False), [0, 0])
            )
            for n in names
        ]
        lines.append(f"{kind:28}" + "".join(f"{cell:>18}" for cell in cells))
    total = (
        f"{len(found.cells)} cells, {found.looks} queries, {len(found.leaks)} leaks, {len(found.lost)} lost"
    )
    return "\n".join([*lines, total])


async def test_nobody_sees_a_row_beyond_his_lines_and_reach_by_any_path(crm: Kit) -> None:
    world, found = await company(crm), Findings()
    for viewer in world.viewers:
        await Look(crm, viewer, world, found).everywhere()
    print("\n" + table(found, [v.name for v in world.viewers]))  # noqa: T201  # the matrix is the result
    assert found.leaks == []
    assert found.lost == []


async def test_every_way_to_look_for_rows_finds_the_same_rows(crm: Kit) -> None:
    world = await company(crm)
    kinds = [crm.services.registry.types[name] for name in ("Customer", "Contact", "Interaction", "Task")]
    for viewer, kind in itertools.product(world.viewers, kinds):
        access = crm.services.access(viewer.actor)
        ways = {
            (wanted, few): await visible_ids(crm, kind, replace(access, wanted=wanted, few=few))
            for wanted in WANTED
            for few in (0, 1, 1_000)
        }
        assert len(set(ways.values())) == 1, (viewer.name, kind.name)


WANTED: tuple[Literal["page", "all", "few"], ...] = ("page", "all", "few")


async def visible_ids(crm: Kit, kind: ObjectType, access: Access) -> frozenset[UUID]:
    """Ids of the rows of a type that the row rule lets through."""
    t = kind.aliased(access, "t")
    rule = kind.visible(t, access)
    assert rule is not None
    return frozenset(row[0] for row in await crm.database.fetch(select(t.c.id).where(rule)))


async def test_every_type_of_the_core_with_a_row_rule_stands_in_the_matrix(crm: Kit) -> None:
    types = crm.services.registry.types.values()
    assert {k.name for k in types if k.rule is not None} == set(ORACLE)
    assert [k.name for k in types if k.prefix is not None and k.rule is None] == []
