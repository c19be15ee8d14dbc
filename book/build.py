"""Execute the lessons and make the book: `python book/build.py`, or `make book`.

Only lessons whose source, imports from medlab, parameters, weights or pinned packages changed are executed again.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

if __package__ in (None, ""):
    # Run as a file: the root of the checkout is not yet where Python looks.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tqdm import tqdm

from book.cards import COSTS
from book.execute import Outcome, execute_all
from book.lessons import NOTEBOOKS, ROOT, find_lessons
from book.report import failure_report

COST_FIELDS = ("profile", "wall_s", "peak_mib", "device", "machine", "versions", "date", "seed")


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0 where every lesson ran and the book was made, else 1."""
    options = _parser().parse_args(arguments)
    lessons = find_lessons(NOTEBOOKS, options.only)
    if not lessons:
        print(f"no lesson's id contains {options.only!r}, expected one below {NOTEBOOKS.name}/", file=sys.stderr)
        return 1
    outcomes = _execute(lessons, options)
    failed = [(lesson, outcome) for lesson, outcome in zip(lessons, outcomes, strict=True) if not outcome.ok]
    if options.record:
        for outcome in outcomes:
            if outcome.ok:
                record_cost(outcome, ROOT)
    if not options.no_publish and not options.only:
        from book.publish import PublishError, publish

        began = time.perf_counter()
        try:
            index = publish(outcomes, lessons)
        except PublishError as error:
            print(error, file=sys.stderr)
            return 1
        print(f"book: {index} ({time.perf_counter() - began:.0f} s)")
    for lesson, outcome in failed:
        print("\n" + failure_report(lesson, outcome), file=sys.stderr)
    if failed:
        print(f"\n{len(failed)} of {len(lessons)} lessons failed", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="book/build.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--profile", choices=("ci", "cpu", "gpu"), default="cpu", help="size of the work (default: cpu)"
    )
    parser.add_argument(
        "--only", default="", metavar="PATTERN", help="only lessons whose id contains this; the book is not published"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), metavar="N", help="lessons at a time (default: cores)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of every lesson (default: 0)")
    parser.add_argument("--force", action="store_true", help="execute again although nothing changed")
    parser.add_argument("--strict", action="store_true", help="a lesson that writes to stderr has failed")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="longest time of one cell")
    parser.add_argument("--no-publish", action="store_true", help="execute only")
    parser.add_argument("--record", action="store_true", help="keep the measured costs in data/results/costs")
    return parser


def _execute(lessons: list, options: argparse.Namespace) -> list[Outcome]:
    with tqdm(total=len(lessons), unit="lesson", disable=not sys.stderr.isatty()) as bar:

        def done(outcome: Outcome) -> None:
            state = outcome.state
            verdict = "unchanged" if outcome.cached else f"{state['wall_s']:.1f} s, {state['peak_mib'] or 0:.0f} MiB"
            tqdm.write(f"{'ok    ' if outcome.ok else 'FAILED'}  {outcome.lesson_id}  ({verdict})")
            bar.update()

        return execute_all(
            lessons,
            options.profile,
            seed=options.seed,
            jobs=options.jobs,
            force=options.force,
            strict=options.strict,
            timeout_s=options.timeout,
            on_done=done,
        )


def record_cost(outcome: Outcome, root: Path) -> Path:
    """Keep what a run measured beside those of the other profiles; cost cards read it."""
    path = root / COSTS / f"{outcome.lesson_id.replace('/', '__')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    known[outcome.state["profile"]] = {name: outcome.state[name] for name in COST_FIELDS}
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(part, path)
    return path


if __name__ == "__main__":
    sys.exit(main())
