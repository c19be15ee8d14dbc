"""Make the book: execute every lesson whose inputs changed, then publish. `python -m book.build`, or `make book`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

if not __package__:
    # Started by its path: the folder of this file must not stand in for the checkout, where the packages lie.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from book import cache
from book.execute import PROFILES, Outcome, execute_all, latest
from book.execution_state import DEFAULT_BUILD, record_cost
from book.lessons import ROOT, Lesson, find_lessons
from book.report import Progress, failure_report, summary, warning_lines

TIME_LIMIT_S = {"ci": 300.0, "cpu": 1800.0, "gpu": None}
EPILOG = """
examples:
  python -m book.build                         the whole book at the cpu profile
  python -m book.build --only spins            one lesson; the others stay as they were last executed
  python -m book.build --profile ci --strict   what `make test` does
  python -m book.build --why --only spins      what each lesson depends on, and what has changed since it ran
  python -m book.build --record --force        measure the cost cards anew, one lesson at a time

A lesson runs again when its source, its parameters, a medlab file that it imports (directly or not), its weights,
requirements.txt or the minor version of Python changes; time stamps do not matter. A failed lesson stops no other,
runs again next time, and makes the exit status 1. Executed notebooks: _build/executed/PROFILE/. The book: _build/html/.
"""


def main(
    arguments: Sequence[str] | None = None, *, root: Path = ROOT, publish: Callable[..., Path] | None = None
) -> int:
    """The command. Returns 0, 1 where a lesson or the publishing failed, 2 for a wrong call, 130 when interrupted.

    root: the checkout. publish: stands in for `book.publish.publish`.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    lessons = find_lessons(root / "notebooks")
    chosen = [lesson for lesson in lessons if options.only in lesson.id]
    if options.only and not chosen:
        known = ", ".join(lesson.id for lesson in lessons) or "none"
        print(f"--only is {options.only!r}, expected part of a lesson's id ({known})", file=sys.stderr)
        return 2
    build_dir = (root / DEFAULT_BUILD).resolve()
    if options.why:
        _explain(chosen, options, root, build_dir)
        return 0
    try:
        outcomes = _execute(chosen, options, root, build_dir)
        return _finish(lessons, outcomes, options, root, build_dir, publish)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted: no lesson is running any more, finished ones are kept", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m book.build",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--profile",
        choices=PROFILES,
        default="cpu",
        help="size of the work: ci tiny, cpu the published book, gpu paper",
    )
    add("--only", metavar="PATTERN", default="", help="execute only lessons whose id (part/name) contains this")
    add("--jobs", type=int, metavar="N", help="lessons at a time (default: one a core; 1 at gpu and with --record)")
    add("--seed", type=int, default=0, metavar="N", help="the seed that lessons are given (default 0)")
    add("--timeout", type=float, metavar="S", help="seconds for one lesson (default: ci 300, cpu 1800, gpu no limit)")
    add("--force", action="store_true", help="execute even what is up to date")
    add("--strict", action="store_true", help="a cell that writes to stderr fails its lesson")
    add("--record", action="store_true", help="write the measured costs to data/results/costs/, for the cost cards")
    add("--why", action="store_true", help="execute nothing; list what each lesson depends on and what has changed")
    add("--no-publish", action="store_true", help="execute only, build no pages")
    return parser


def _execute(lessons: list[Lesson], options: argparse.Namespace, root: Path, build_dir: Path) -> list[Outcome]:
    progress = Progress(len(lessons))
    try:
        return execute_all(
            lessons,
            profile=options.profile,
            seed=options.seed,
            # Lessons that run side by side slow one another: a cost is measured alone.
            jobs=options.jobs if options.jobs is not None or not options.record else 1,
            force=options.force,
            strict=options.strict,
            timeout_s=TIME_LIMIT_S[options.profile] if options.timeout is None else options.timeout,
            root=root,
            build_dir=build_dir,
            progress=progress,
        )
    finally:
        progress.close()


def _finish(
    lessons: list[Lesson],
    outcomes: list[Outcome],
    options: argparse.Namespace,
    root: Path,
    build_dir: Path,
    publish: Callable[..., Path] | None,
) -> int:
    if options.record:
        for outcome in outcomes:
            if outcome.ok:
                print(f"recorded {record_cost(outcome, root).relative_to(root)}")
    published = options.no_publish or _publish(lessons, outcomes, options.profile, root, build_dir, publish)
    for line in warning_lines(outcomes):
        print(line)
    failed = [outcome for outcome in outcomes if not outcome.ok]
    for outcome in failed:
        print(f"\n{failure_report(outcome)}")
    print(("\n" if failed else "") + summary(outcomes))
    return 0 if published and not failed else 1


def _publish(
    lessons: list[Lesson],
    outcomes: list[Outcome],
    profile: str,
    root: Path,
    build_dir: Path,
    publish: Callable[..., Path] | None,
) -> bool:
    """Publish what was executed, with the last execution of the other lessons; returns whether nothing went wrong."""
    by_id = {outcome.lesson_id: outcome for outcome in outcomes}
    pages = [by_id.get(lesson.id) or latest(lesson, profile, build_dir) for lesson in lessons]
    missing = [lesson.id for lesson, page in zip(lessons, pages, strict=True) if page is None]
    if missing:
        print(f"not published: {', '.join(missing)} not executed at {profile} yet, run without --only first")
        return True
    if publish is None:
        from book.publish import publish
    try:
        index = publish(pages, lessons, root=root, build_dir=build_dir)
    except RuntimeError as error:
        from book.publish import PublishError

        if not isinstance(error, PublishError):
            raise
        print(error, file=sys.stderr)
        return False
    print(f"the book: {index.resolve().as_uri()}")
    return True


def _explain(lessons: list[Lesson], options: argparse.Namespace, root: Path, build_dir: Path) -> None:
    for lesson in lessons:
        known = latest(lesson, options.profile, build_dir)
        try:
            found = cache.inputs(lesson, {"profile": options.profile, "seed": options.seed}, root)
        except (OSError, ValueError) as error:
            print(f"{lesson.id}: {error}")
            continue
        before = known.state["inputs"] if known else {}
        current = known is not None and known.ok and known.state["key"] == cache.digest(found)
        print(f"{lesson.id}: {'up to date' if current else 'to be executed'} at {options.profile}")
        for name in sorted(found.keys() | before.keys()):
            changed = known is not None and found.get(name) != before.get(name)
            print(f"  {'changed ' if changed else '        '}{name}")


if __name__ == "__main__":
    sys.exit(main())
