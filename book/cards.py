"""What the build adds to pages: a lesson's cost card, the banner of a failed lesson, the status page."""

import html
import json
from pathlib import Path

from book.lessons import Lesson

COSTS = Path("data/results/costs")
PROFILE_USE = {"ci": "smallest, for checks", "cpu": "this page, a laptop", "gpu": "one GPU"}


def recorded_costs(lesson_id: str, root: Path) -> dict[str, dict]:
    """The committed measurements of a lesson by profile, empty where there are none."""
    path = root / COSTS / f"{lesson_id.replace('/', '__')}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def cost_card(lesson: Lesson, measured: dict[str, dict]) -> str:
    """The cost card as HTML: minutes to read, then time and memory of every profile that was measured.

    measured: by profile, a record with wall_s, peak_mib, device, machine and date.
    """
    rows = "".join(_cost_row(name, measured[name]) for name in PROFILE_USE if name in measured)
    missing = [name for name in PROFILE_USE if name not in measured]
    note = f"<p>Not measured yet: {', '.join(missing)}.</p>" if missing else ""
    return (
        '<div class="medlab-cost"><p><strong>What this lesson costs.</strong> '
        f"About {lesson.reading_minutes()} minutes to read ({lesson.words():,} words, {lesson.code_lines()} lines "
        "of code). Measured when it was run:</p>"
        '<div class="medlab-table"><table><thead><tr><th scope="col">Profile</th><th scope="col">Time</th>'
        '<th scope="col">Peak memory</th><th scope="col">Device</th><th scope="col">Measured on</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{note}</div>"
    )


def _cost_row(profile: str, cost: dict) -> str:
    return (
        f"<tr><td><code>{profile}</code> <small>{PROFILE_USE[profile]}</small></td><td>{_duration(cost['wall_s'])}</td>"
        f"<td>{_memory(cost['peak_mib'])}</td><td>{_safe(cost['device'])}</td>"
        f"<td class='medlab-machine'><small>{_safe(machine_line(cost['machine']))}, {_safe(cost['date'][:10])}"
        "</small></td></tr>"
    )


def machine_line(machine: dict | str) -> str:
    """A machine in a few words."""
    if isinstance(machine, str):
        return machine
    cores = machine.get("cores")
    return ", ".join(filter(None, [machine.get("cpu"), f"{cores} cores" if cores else "", machine.get("os")]))


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _memory(mebibytes: float | None) -> str:
    if not mebibytes:
        return "not known"
    return f"{mebibytes:.0f} MiB" if mebibytes < 2048 else f"{mebibytes / 1024:.1f} GiB"


def _safe(text: object) -> str:
    return html.escape(str(text))


def status_page(lessons: list[Lesson], states: dict[str, dict]) -> str:
    """The execution-status page as Markdown: one row a lesson."""
    rows = "".join(_status_row(lesson, states[lesson.id]) for lesson in lessons if lesson.id in states)
    failed = sum(not state["ok"] for state in states.values())
    verdict = "Every lesson ran to its end." if not failed else f"{failed} of {len(states)} lessons failed."
    return (
        "# Execution status\n\n"
        f"{verdict} Each page of this book was made by running its lesson; this table says when, where and at "
        "which cost. A lesson runs again when its source, the library files that it imports, its weights or the "
        "pinned packages change.\n\n"
        '<div class="medlab-table"><table><thead><tr><th scope="col">Lesson</th><th scope="col">Status</th>'
        '<th scope="col">Profile</th><th scope="col">Time</th><th scope="col">Peak memory</th>'
        '<th scope="col">Seed</th><th scope="col">Date (UTC)</th><th scope="col">Machine</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>\n"
    )


def _status_row(lesson: Lesson, state: dict) -> str:
    verdict = "ran" if state["ok"] else "<strong>failed</strong>"
    link = f'<a href="../notebooks/{lesson.id}.html">{_safe(lesson.title)}</a>'
    return (
        f"<tr><td>{link}</td><td>{verdict}</td><td><code>{_safe(state['profile'])}</code></td>"
        f"<td>{_duration(state['wall_s'])}</td><td>{_memory(state['peak_mib'])}</td><td>{_safe(state['seed'])}</td>"
        f"<td>{_safe(state['date'][:16].replace('T', ' '))}</td>"
        f"<td class='medlab-machine'><small>{_safe(machine_line(state['machine']))}</small></td></tr>"
    )
