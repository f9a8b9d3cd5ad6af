"""A made-up company of any size, the same for the same seed: rows of the product's tables, and what to ask for."""

from __future__ import annotations

import hashlib
import random
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any, Final
from uuid import UUID

from crm_core import demo_words as words
from crm_core import ids
from crm_core.access.models import ApiToken, Role, RoleGrant, RoleScope, Team, TeamMember, User
from crm_core.access.queries import secret_hash, show_token
from crm_core.actors import Reach
from crm_core.contacts.models import Contact, ContactPhone
from crm_core.customers.inputs import searchable
from crm_core.customers.models import Customer, CustomerKey, CustomerLine, CustomerNumber, CustomerPhone
from crm_core.db.search import SearchDocument
from crm_core.interactions.models import Interaction
from crm_core.tokens import tokens_of

Row = dict[str, Any]

SEED: Final = 20251103
LINES: Final = {"auto_east": 0.45, "auto_west": 0.35, "telecom": 0.20}
"""Lines and their share of the customers; a fifth of the customers belong to a second line too."""
PLUGINS: Final = {"auto_east": ("auto_dealer",), "auto_west": ("auto_dealer",), "telecom": ()}
TEAMS: Final = {"auto_east": 5, "auto_west": 4, "telecom": 3}
SELLERS: Final = {"auto_east": 89, "auto_west": 69, "telecom": 40}
"""With the administrator and the leader of two teams, 200 users."""
REACHED: Final = ("auto_east", "auto_west")
"""Lines of the actor with team reach; of each he belongs to the first team."""
SCOPES: Final = ("customer.read", "contact.read", "interaction.read", "interaction.write")
"""What he may do there; not `customer.phone`, so telephone numbers are masked for him."""
SECOND_LINE: Final = 0.2
PROVINCES: Final = (
    "江苏省", "浙江省", "上海市", "安徽省", "山东省", "广东省", "福建省", "四川省",
    "湖北省", "湖南省", "河南省", "河北省", "辽宁省", "陕西省", "重庆市", "北京市",
)  # fmt: skip
GRADES: Final = ("A", "B", "C", "VIP")
BRAND: Final = "华信鼎盛恒达瑞丰中联新越东方金桥嘉和远航宏图泰安博雅凯源正德佳美康宁隆昌广顺"
END: Final = datetime(2025, 10, 31, 9, 0, tzinfo=UTC)
PERIOD: Final = timedelta(days=720)
SAMPLES: Final = 500
CUSTOMERS, CONTACTS, INTERACTIONS = 100_000, 250_000, 1_000_000
BY_NAME: Final = 0.8


@dataclass(frozen=True, slots=True)
class Known:
    """A customer as far as later rows need it: lines with owner and team."""

    id: UUID
    created_at: datetime
    lines: tuple[tuple[str, UUID, UUID], ...]


@dataclass
class Asked:
    """What one actor is to ask for; kept beside the database, as JSON."""

    token: str
    user: str
    name: str
    token_id: str
    teams: dict[str, str] = field(default_factory=dict)
    customers: list[str] = field(default_factory=list)
    """Ids of customers he reaches, as 32 hexadecimal digits."""
    regions: list[tuple[str, str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    moments: list[str] = field(default_factory=list)
    """Behind which a page of customers is read."""
    middle: str = ""
    """When the interaction in the middle of his list took place."""
    logs: list[tuple[str, str]] = field(default_factory=list)
    """Customer and line in which an interaction is recorded."""


Table = tuple[type[Any], Callable[[], Iterator[Row]]]


class Company:
    """The company; its tables must be read in the order of `tables`, once."""

    def __init__(self, scale: float) -> None:
        """`scale` 1 is 100,000 customers, 250,000 contacts, 1,000,000 interactions; always 200 users."""
        self.scale = scale
        self.customers = max(200, round(CUSTOMERS * scale))
        self.contacts = self.customers * CONTACTS // CUSTOMERS
        self.interactions = self.customers * INTERACTIONS // CUSTOMERS
        self.chance = random.Random(SEED)  # noqa: S311  # made-up data
        self.start = END - PERIOD
        self.teams = {line: [self._id(self.start) for _ in range(n)] for line, n in TEAMS.items()}
        self.sellers = {line: [self._id(self.start) for _ in range(n)] for line, n in SELLERS.items()}
        self.roles = {name: self._id(self.start) for name in ("bench_sales", "bench_teams")}
        self.asked = {"admin": self._actor("admin", "演示管理员"), "team": self._actor("team", "两线组员")}
        self.asked["team"].teams = {line: self.teams[line][0].hex for line in REACHED}
        self.known: list[Known] = []
        self._texts: list[str] = []

    def tables(self) -> list[Table]:
        """Models with the rows of each."""
        return [
            (User, self._users),
            (Team, self._teams),
            (TeamMember, self._members),
            (Role, self._roles),
            (RoleScope, self._scopes),
            (RoleGrant, self._grants),
            (ApiToken, self._tokens),
            (Customer, self._customers),
            (CustomerLine, self._customer_lines),
            (CustomerNumber, self._numbers),
            (CustomerPhone, lambda: iter(self._phones)),
            (CustomerKey, lambda: iter(self._keys)),
            (Contact, self._contacts),
            (ContactPhone, lambda: iter(self._contact_phones)),
            (SearchDocument, lambda: iter(self._documents)),
            (Interaction, self._interactions),
        ]

    # -- people

    def _id(self, moment: datetime) -> UUID:
        return ids.uuid7(moment, self.chance.randbytes)

    def _actor(self, login: str, name: str) -> Asked:
        key, user = self._id(self.start), self._id(self.start)
        secret = hashlib.sha256(f"{SEED} {login}".encode()).hexdigest()
        return Asked(show_token(key, secret), user.hex, name, key.hex)

    def _team_of(self, line: str, place: int) -> UUID:
        return self.teams[line][place % len(self.teams[line])]

    def _users(self) -> Iterator[Row]:
        for login, one in self.asked.items():
            yield {"id": UUID(one.user), "login": login, "name": one.name}
        for line, sellers in self.sellers.items():
            for place, key in enumerate(sellers):
                name = words.person(self.chance)
                yield {"id": key, "login": f"seller{place}.{line}", "name": name, "title": "销售顾问"}

    def _teams(self) -> Iterator[Row]:
        for line, teams in self.teams.items():
            for place, key in enumerate(teams, 1):
                yield {"id": key, "line": line, "name": f"销售{place}组"}

    def _members(self) -> Iterator[Row]:
        for line, sellers in self.sellers.items():
            for place, key in enumerate(sellers):
                yield {"team_id": self._team_of(line, place), "user_id": key, "leads": False}
        for team in self.asked["team"].teams.values():
            yield {"team_id": UUID(team), "user_id": UUID(self.asked["team"].user), "leads": False}

    def _roles(self) -> Iterator[Row]:
        for name, key in self.roles.items():
            yield {"id": key, "name": name, "title": name, "offered": []}

    def _scopes(self) -> Iterator[Row]:
        for name, reach in (("bench_sales", Reach.OWN), ("bench_teams", Reach.TEAM)):
            for scope in SCOPES:
                yield {"role_id": self.roles[name], "scope": scope, "reach": int(reach)}

    def _grants(self) -> Iterator[Row]:
        """All but the administrator's, whose role the migrations made."""
        for line, sellers in self.sellers.items():
            for key in sellers:
                role = self.roles["bench_sales"]
                yield {"id": self._id(self.start), "user_id": key, "role_id": role, "line": line}
        for line in REACHED:
            user, role = UUID(self.asked["team"].user), self.roles["bench_teams"]
            yield {"id": self._id(self.start), "user_id": user, "role_id": role, "line": line}

    def _tokens(self) -> Iterator[Row]:
        for one in self.asked.values():
            digest = secret_hash(one.token.rsplit("_", 1)[1])
            user = UUID(one.user)
            yield {"id": UUID(one.token_id), "user_id": user, "name": "bench", "secret_hash": digest}

    # -- customers

    def _moment(self, place: int, count: int) -> datetime:
        return self.start + PERIOD * (place / count)

    def _name(self) -> tuple[str, str]:
        """Name and kind of a customer; notes a fragment of two characters to search for."""
        if self.chance.random() < BY_NAME:
            name, kind, text = words.person(self.chance), "PERSON", slice(0, 2)
        else:
            brand = "".join(self.chance.sample(BRAND, 2))
            trade = self.chance.choice(words.TRADES)
            city = self.chance.choice(words.PLACES)[1].removesuffix("市")
            name, kind, text = (f"{city}{brand}{trade}有限公司", "ORGANISATION", slice(2, 4))
        if len(self._texts) < SAMPLES and name[text] not in self._texts:
            self._texts.append(name[text])
        return name, kind

    def _customers(self) -> Iterator[Row]:
        self._phones: list[Row] = []
        self._keys: list[Row] = []
        self._documents: list[Row] = []
        for place in range(self.customers):
            moment = self._moment(place, self.customers)
            key, number = self._id(moment), f"C{place + 1:06}"
            self.known.append(Known(key, moment, self._lines_of_customer()))
            name, kind = self._name()
            city, districts = self.chance.choice(words.PLACES)[1:]
            phone = words.mobile(self.chance)
            self._note_phone(self._phones, "customer_id", key, phone, moment)
            self._keys.append({"kind": "PHONE", "value": f"+86{phone}", "customer_id": key})
            self._note_document("Customer", key, tokens_of([name], [f"+86{phone}"], [number]))
            yield {
                "id": key, "created_at": moment, "number": number, "kind": kind, "name": name,
                "name_search": searchable(name), "province": self.chance.choice(PROVINCES), "city": city,
                "district": self.chance.choice(districts), "secrecy": "restricted",
                "source_channel": self.chance.choice(words.CHANNELS), "archive_state": "CONFIRMED",
            }  # fmt: skip

    def _lines_of_customer(self) -> tuple[tuple[str, UUID, UUID], ...]:
        lines, shares = list(LINES), list(accumulate(LINES.values()))
        chosen = [lines[min(bisect(shares, self.chance.random()), len(lines) - 1)]]
        if self.chance.random() < SECOND_LINE:
            chosen.append(self.chance.choice([line for line in lines if line != chosen[0]]))
        found = []
        for line in chosen:
            place = self.chance.randrange(len(self.sellers[line]))
            found.append((line, self.sellers[line][place], self._team_of(line, place)))
        return tuple(found)

    def _note_phone(self, into: list[Row], owner: str, key: UUID, phone: str, moment: datetime) -> None:
        into.append(
            {"id": self._id(moment), "created_at": moment, owner: key, "position": 0, "raw": phone,
             "e164": f"+86{phone}", "kind": "MOBILE"}
        )  # fmt: skip

    def _note_document(self, kind: str, key: UUID, tokens: tuple[str, ...]) -> None:
        self._documents.append({"kind": kind, "subject_id": key, "tokens": tokens})

    def _customer_lines(self) -> Iterator[Row]:
        for one in self.known:
            for line, owner, team in one.lines:
                yield {
                    "id": self._id(one.created_at), "created_at": one.created_at, "customer_id": one.id,
                    "line": line, "owner_id": owner, "team_id": team, "grade": self.chance.choice(GRADES),
                    "stage": self.chance.choice(words.STAGES), "review_due_at": one.created_at + PERIOD,
                }  # fmt: skip

    def _numbers(self) -> Iterator[Row]:
        for one in self.known:
            yield {"customer_id": one.id}

    def _contacts(self) -> Iterator[Row]:
        self._contact_phones: list[Row] = []
        for place in range(self.contacts):
            of = self.known[place * self.customers // self.contacts]
            moment = of.created_at + timedelta(seconds=place % 7)
            key, name, phone = (self._id(moment), words.person(self.chance), words.mobile(self.chance))
            self._note_phone(self._contact_phones, "contact_id", key, phone, moment)
            self._note_document("Contact", key, tokens_of([name], [f"+86{phone}"]))
            private = self.chance.random() < 0.1  # noqa: PLR2004  # a tenth is known to one line alone
            yield {
                "id": key, "created_at": moment, "customer_id": of.id,
                "line": of.lines[0][0] if private else None, "name": name, "name_search": searchable(name),
                "title": self.chance.choice(words.POSTS), "is_key_person": self.chance.random() < 0.2,  # noqa: PLR2004
                "card_check_due_at": moment + PERIOD,
            }  # fmt: skip

    # -- interactions

    def _interactions(self) -> Iterator[Row]:
        chance, reached = (self.chance, [UUID(team) for team in self.asked["team"].teams.values()])
        channels = {"call": "PHONE", "wechat": "WECHAT", "showroom_visit": "FACE_TO_FACE", "sms": "SMS"}
        seen: list[datetime] = []
        for place in range(self.interactions):
            moment = self._moment(place, self.interactions)
            of = self.known[int(chance.random() * self.customers)]
            line, owner, team = of.lines[int(chance.random() * len(of.lines))]
            kind, subject, content = words.TALKS[int(chance.random() * len(words.TALKS))]
            if team in reached:
                seen.append(moment)
            yield {
                "id": self._id(moment), "created_at": moment, "customer_id": of.id, "line": line,
                "kind": kind, "channel": channels[kind], "status": "DONE", "subject": subject,
                "content": content, "occurred_at": moment,
                "occurred_on": (moment + timedelta(hours=8)).date(),
                "duration_minutes": 3 + int(chance.random() * 40), "performer_id": owner, "team_id": team,
            }  # fmt: skip
        self._ask(self._moment(self.interactions // 2, self.interactions), seen[len(seen) // 2])

    def _ask(self, middle: datetime, middle_of_team: datetime) -> None:
        """Choose what each actor asks for."""
        reached = {UUID(team) for team in self.asked["team"].teams.values()}
        of_team = [one for one in self.known if any(team in reached for _, _, team in one.lines)]
        for name, known, moment in (("admin", self.known, middle), ("team", of_team, middle_of_team)):
            asked = self.asked[name]
            chosen = self.chance.choices(known, k=SAMPLES)
            asked.customers = [one.id.hex for one in chosen]
            mine = [
                [line for line, _, team in one.lines if name == "admin" or team in reached] for one in chosen
            ]
            asked.logs = [(one.id.hex, lines[0]) for one, lines in zip(chosen, mine, strict=True)]
            asked.regions = [(grade, province) for grade in GRADES for province in PROVINCES]
            self.chance.shuffle(asked.regions)
            asked.texts = self._texts
            late = known[len(known) // 10 :]
            asked.moments = [self.chance.choice(late).created_at.isoformat() for _ in range(SAMPLES // 10)]
            asked.middle = moment.isoformat()
