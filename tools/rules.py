"""Compares the business rules each distribution lists in its RULES.md with the tests that name them.

A line `- CS-004 | statement` lists a rule (`MO-C08` a compliance control); `- CS-002 | not software: argument` excuses one, for duties no system
can carry. Tests name rules with `@pytest.mark.rule("CS-004")`. The table between the two comments of each
RULES.md is generated from both: compared by default, renewed with `--write`.
"""

import argparse
import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "<!-- generated: coverage -->"
END = "<!-- end -->"
LINE = re.compile(r"^- (?P<id>[A-Z]{2}-(?:\d{3}|C\d{2})) \| (?P<text>.*)$", re.MULTILINE)
CONTROL = re.compile(r"^\| (?P<id>[A-Z]{2}-C\d{2}) \|", re.MULTILINE)
LOOKS_LIKE_ONE = re.compile(r"^[ \t]*[-*] *[A-Z]{2}-C?\d+.*$", re.MULTILINE)
EXCUSE = re.compile(r"not software:\s*(?P<argument>.*)", re.IGNORECASE)
QUOTE = re.compile(r"«([^»]+)»")
NOT_RUN = {"skip", "xfail"}


@dataclass(frozen=True)
class Test:
    """A place in the tests that names a rule."""

    path: str
    line: int
    name: str


@dataclass
class Distribution:
    """One RULES.md: its rules with their statements, its excuses with their arguments."""

    name: str
    path: Path
    rules: dict[str, str] = field(default_factory=dict)
    excuses: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def covered(self, tests: Mapping[str, Sequence[Test]]) -> list[str]:
        """The listed rules that a test names, in the order of the list."""
        return [rule for rule in self.rules if rule in tests]


@dataclass(frozen=True)
class Catalogue:
    """The full collection the rules were taken from, where it is at hand: ids, and what it calls no software."""

    ids: frozenset[str]
    not_software: str


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Print the table, settle the generated parts; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description="Which business rules are covered by tests.")
    parser.add_argument("--write", action="store_true", help="renew the generated parts of RULES.md")
    parser.add_argument("--catalogue", type=Path, default=root.parent / "shared" / "requirements")
    options = parser.parse_args(arguments)
    distributions = [read(path) for path in lists(root)]
    tests, problems = collect(root)
    problems += check(distributions, tests)
    if catalogue := open_catalogue(options.catalogue):
        problems += check_against(catalogue, distributions)
    else:
        print("catalogue not at hand")
    problems += [
        problem for each in distributions for problem in settle(each, tests, root=root, write=options.write)
    ]
    print(summary(distributions, tests))
    for problem in problems:
        print(f"rules: {problem}")
    return 1 if problems else 0


def lists(root: Path) -> list[Path]:
    """Every RULES.md, the core's first."""
    core = root / "crm_core" / "RULES.md"
    return [path for path in [core, *sorted(root.glob("plugins/*/RULES.md"))] if path.exists()]


def read(path: Path) -> Distribution:
    """Read one RULES.md; what is listed twice or cannot be read becomes a problem."""
    distribution = Distribution(path.parent.name, path)
    text = _without_generated(path.read_text(encoding="utf-8"))
    for match in LINE.finditer(text):
        _enter(distribution, match["id"], match["text"].strip())
    read_lines = {match[0] for match in LINE.finditer(text)}
    unread = [line for line in LOOKS_LIKE_ONE.findall(text) if line not in read_lines]
    distribution.problems += [
        f"{distribution.name}: cannot read {line!r}; write '- CS-004 | …'" for line in unread
    ]
    return distribution


def _enter(distribution: Distribution, rule: str, text: str) -> None:
    if rule in distribution.rules or rule in distribution.excuses:
        distribution.problems.append(f"{distribution.name}: {rule} is listed twice")
    elif excuse := EXCUSE.fullmatch(text):
        distribution.excuses[rule] = excuse["argument"].strip()
        if not excuse["argument"].strip():
            distribution.problems.append(f"{distribution.name}: {rule} is excused without an argument")
    else:
        distribution.rules[rule] = text
        if not text:
            distribution.problems.append(f"{distribution.name}: {rule} has no statement")


def collect(root: Path) -> tuple[dict[str, list[Test]], list[str]]:
    """All rules that tests name, and the markers that cannot be read."""
    tests: dict[str, list[Test]] = {}
    problems: list[str] = []
    for folder in [root / "tests", *sorted(root.glob("plugins/*/tests"))]:
        for path in sorted(folder.rglob("*.py")):
            shown = str(path.relative_to(root))
            for node, name in _markers(ast.parse(path.read_text(encoding="utf-8")), "module"):
                ids = [word.value for word in node.args if isinstance(word, ast.Constant)]
                if not ids or len(ids) < len(node.args) or not all(isinstance(word, str) for word in ids):
                    problems.append(f"{shown}:{node.lineno}: a rule marker takes ids written out as text")
                for rule in map(str, ids):
                    tests.setdefault(rule, []).append(Test(shown, node.lineno, name))
    return tests, problems


def _markers(node: ast.AST, name: str) -> Iterator[tuple[ast.Call, str]]:
    """Every `pytest.mark.rule(…)` below `node` with the name of its test; a test that is not run covers nothing."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        name = node.name
        if any(_mark(decorator) in NOT_RUN for decorator in node.decorator_list):
            return
    if isinstance(node, ast.Call) and _mark(node) == "rule":
        yield node, name
    for child in ast.iter_child_nodes(node):
        yield from _markers(child, name)


def _mark(node: ast.AST) -> str | None:
    """`x` for `pytest.mark.x` and `pytest.mark.x(…)`."""
    if isinstance(node, ast.Call):
        node = node.func
    if (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "mark"
    ):
        return node.attr
    return None


def check(distributions: Sequence[Distribution], tests: Mapping[str, Sequence[Test]]) -> list[str]:
    """What is wrong between the lists and the tests."""
    problems = [problem for each in distributions for problem in each.problems]
    owners = Counter(rule for each in distributions for rule in {**each.rules, **each.excuses})
    problems += [f"{rule} is listed by several distributions" for rule, count in owners.items() if count > 1]
    listed = {rule for each in distributions for rule in each.rules}
    for rule, places in tests.items():
        if rule not in listed:
            problems.append(f"{places[0].path}:{places[0].line}: {rule} is in no RULES.md")
    for each in distributions:
        problems += [f"{each.name}: {rule} has no test" for rule in each.rules if rule not in tests]
    return problems


def open_catalogue(folder: Path) -> Catalogue | None:
    """The catalogue in `folder`, or None where there is none."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))]
    if not texts:
        return None
    ids = frozenset(
        match["id"] for text in texts for form in (LINE, CONTROL) for match in form.finditer(text)
    )
    sections = [re.split(r"^#{1,2} ", text, flags=re.MULTILINE) for text in texts]
    carried = [part for parts in sections for part in parts if "not software" in part.split("\n")[0].lower()]
    return Catalogue(ids, "\n".join(carried))


def check_against(catalogue: Catalogue, distributions: Sequence[Distribution]) -> list[str]:
    """Ids the catalogue does not know, and quoted excuses that its own list of non-software does not contain."""
    problems = []
    for each in distributions:
        unknown = [rule for rule in {**each.rules, **each.excuses} if rule not in catalogue.ids]
        problems += [f"{each.name}: {rule} is not in the catalogue" for rule in unknown]
        for rule, argument in each.excuses.items():
            strange = [quote for quote in QUOTE.findall(argument) if quote not in catalogue.not_software]
            problems += [f"{each.name}: {rule} quotes «{quote}», which is not there" for quote in strange]
    return problems


def settle(each: Distribution, tests: Mapping[str, Sequence[Test]], *, root: Path, write: bool) -> list[str]:
    """Compare or renew the generated part of one RULES.md."""
    text = each.path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or END not in text.partition(BEGIN)[2]:
        return [f"{each.name}: RULES.md needs the lines {BEGIN} and {END}, once"]
    before, _, rest = text.partition(BEGIN)
    wanted = f"{before}{BEGIN}\n{table(each, tests)}{END}{rest.partition(END)[2]}"
    if wanted == text:
        return []
    if write:
        each.path.write_text(wanted, encoding="utf-8")
        return []
    return [f"{each.path.relative_to(root)} is not as generated; run `make rules`"]


def table(each: Distribution, tests: Mapping[str, Sequence[Test]]) -> str:
    """The generated part: counts, then each rule with the tests that show it; no line numbers, they move."""
    lines = ["", _counts(each, tests), "", "| rule | tests |", "|---|---|"]
    for rule in sorted(each.rules):
        places = sorted({f"`{test.path}` {test.name}" for test in tests.get(rule, ())})
        lines.append(f"| {rule} | {'<br>'.join(places) or '**none**'} |")
    return "\n".join([*lines, "", ""])


def _counts(each: Distribution, tests: Mapping[str, Sequence[Test]]) -> str:
    covered = len(each.covered(tests))
    quoted = sum(1 for argument in each.excuses.values() if QUOTE.search(argument))
    return (
        f"{len(each.rules)} rules, {covered} covered, {len(each.rules) - covered} uncovered, "
        f"{len(each.excuses)} excused ({quoted} from the catalogue's own list, {len(each.excuses) - quoted} argued)"
    )


def summary(distributions: Sequence[Distribution], tests: Mapping[str, Sequence[Test]]) -> str:
    """One line per distribution, and its uncovered rules."""
    lines = []
    for each in distributions:
        lines.append(f"{each.name:<16} {_counts(each, tests)}")
        missing = [rule for rule in each.rules if rule not in tests]
        lines += [f"{'':<16} uncovered: {', '.join(missing)}"] if missing else []
    return "\n".join(lines) if lines else "no RULES.md yet"


def _without_generated(text: str) -> str:
    before, _, rest = text.partition(BEGIN)
    return before + rest.partition(END)[2]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
