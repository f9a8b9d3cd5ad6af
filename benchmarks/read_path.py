"""How fast the product reads and records, against its own interpreter, plain Strawberry and SQL written by hand.

`python benchmarks/read_path.py` makes 100,000 customers, 250,000 contacts, 1,000,000 interactions and 200 users on a
PostgreSQL server of its own (`--keep FOLDER` keeps them for the next time; `--scale 0.01` makes fewer), compares the
answers of all contestants, then times them in one run: one process each, interleaved, the same load. It prints
requests per second, ratios, latencies, processor time and memory; it never fails on time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.reads import loading, postgres, report
from benchmarks.reads.cold import cold
from benchmarks.reads.comparing import compare
from benchmarks.reads.growth import growth
from benchmarks.reads.loading import Deployment
from benchmarks.reads.logged import differences_of_rows, forget_logged
from benchmarks.reads.measuring import How, Measurement, bind_database, troubles
from benchmarks.reads.operations import DOCUMENTS, Variant, asker, variants
from benchmarks.reads.servers import CONTESTANTS, Contestant, all_running, has_planner

Variants = dict[tuple[str, str], Sequence[Variant]]


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 100,000 customers (default)")
    parser.add_argument("--keep", type=Path, help="folder that keeps the loaded databases")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each timed slice")
    parser.add_argument("--warm-up", type=float, default=1.0, help="seconds before each slice")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, help="default: 16; on SQLite 1")
    parser.add_argument("--only", help=f"operations, e.g. Q3,M1 (of {','.join(DOCUMENTS)})")
    parser.add_argument("--contestants", help=f"of {','.join(CONTESTANTS)}")
    parser.add_argument("--actor", choices=("admin", "team"), help="default: both")
    parser.add_argument("--json", type=Path, help="write the table to this file too")
    parser.add_argument("--load-only", action="store_true", help="make the data and stop")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--sqlite", action="store_true", help="on SQLite, one client")
    kinds.add_argument("--growth", action="store_true", help="latencies at ten times the rows, in one run")
    kinds.add_argument("--cold", action="store_true", help="time to the first answer, and first executions")
    return parser.parse_args()


def main() -> None:
    """Load, compare, measure, print."""
    given = arguments()
    with _folder(given.keep) as folder:
        if given.sqlite:
            print(_sqlite(given, folder))
            return
        with postgres.running(folder / "postgres") as server:
            if given.growth:
                print(growth(given, server, folder))
                return
            deployment = loading.on_postgresql(server, folder, given.scale)
            if given.load_only:
                return
            bind_database(server.process)
            print(cold(given, deployment) if given.cold else _compared(given, deployment, server.process))


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="crm-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL's own account goes through it
        yield folder


def _sqlite(given: argparse.Namespace, folder: Path) -> str:
    deployment = loading.on_sqlite(folder, given.scale)
    return "" if given.load_only else _compared(given, deployment, None)


def _compared(given: argparse.Namespace, deployment: Deployment, database: int | None) -> str:
    names = given.contestants.split(",") if given.contestants else list(CONTESTANTS)
    if not has_planner():
        print("this product reads by its interpreter alone: `product` and `interpreter` are the same")
    connections = given.connections or (1 if deployment.dialect == "sqlite" else 16)
    measurement = Measurement(How(given.seconds, given.warm_up, given.rounds, connections), database)
    forget_logged(deployment)  # an interrupted run may have left some
    with all_running(names, deployment) as contestants:
        plan = _plan(given, deployment, contestants)
        different = _different(plan, contestants, deployment)
        for one in different:
            print(f"DIFFERENT {one}")
        print("compared with what the product answers: " + ("see above" if different else "all equal"))
        for number in range(given.rounds):
            turn = number % len(contestants)
            measurement.round(plan, [*contestants[turn:], *contestants[:turn]])
            print(f"round {number + 1} of {given.rounds} done", file=sys.stderr, flush=True)
    forget_logged(deployment)
    figures = measurement.figures()
    for trouble in troubles(figures):
        print(f"ERRORS {trouble}")
    if given.json:
        options = {name: str(value) for name, value in vars(given).items()}
        more = {"options": options, "dialect": deployment.dialect, "planner": has_planner()}
        report.write(given.json, report.as_json(figures, **more, different=different))
    return report.table(figures)


def _plan(given: argparse.Namespace, deployment: Deployment, contestants: Sequence[Contestant]) -> Variants:
    """Reads first, then what writes."""
    asked = next((one for one in contestants if one.name in ("product", "interpreter")), None)
    wanted = given.only.split(",") if given.only else list(DOCUMENTS)
    actors = [given.actor] if given.actor else list(deployment.asked)

    def refused(*_asked: object) -> object:
        raise SystemExit("cursors come from the product: --contestants must name product or interpreter")

    found: Variants = {}
    for operation in sorted(wanted, key=lambda name: (name == "M1", name)):
        for actor in actors:
            one = deployment.asked[actor]
            ask = asker(asked.port, one.token) if asked else refused
            found[actor, operation] = variants(operation, one, ask)
    return found


def _different(plan: Variants, contestants: Sequence[Contestant], deployment: Deployment) -> list[str]:
    found: list[str] = []
    for (actor, operation), asked in plan.items():
        found += compare(operation, actor, contestants, asked)
    recording = [actor for actor, operation in plan if operation == "M1"]
    if recording:
        found += differences_of_rows(deployment, [one.name for one in contestants], len(recording))
    return found


if __name__ == "__main__":
    main()
