"""A form in which the reader answers questions about a task and sees what is advised, without kernel and script.

An answer is a radio button; what stands under a condition is hidden by a style rule as long as none of the condition's
buttons is chosen. So the page, Jupyter and Python evaluate the same conditions.
"""

import html
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Protocol

from IPython.display import display

from medlab.viz.figure import short_hash

_count = itertools.count(1)

# The look stands with the form, so that it also works in Jupyter, where the book's styles are absent.
LOOK = """<style>
.medlab-chooser{--line:color-mix(in srgb,currentColor 20%,transparent);--blue:#2f8fd6;--orange:#d9691e;
border:1px solid var(--line);border-radius:.8rem;padding:.9rem 1rem;line-height:1.4}
.medlab-chooser fieldset{border:0;border-bottom:1px solid var(--line);margin:0;padding:.45rem 0;min-width:0;
display:grid;grid-template-columns:minmax(0,1fr) auto;gap:.2rem 1rem;align-items:center}
.medlab-chooser legend{float:left;font-size:.95rem;margin:0;padding:0;width:auto}
.medlab-chooser .medlab-answers{display:flex;flex-wrap:wrap;gap:.3rem}
.medlab-chooser .medlab-many{grid-template-columns:minmax(0,1fr)}
.medlab-chooser label{position:relative;display:inline-flex;align-items:center;min-height:2rem;margin:0;
padding:0 .75rem;
border:1px solid var(--line);border-radius:1rem;font-size:.9rem;cursor:pointer}
.medlab-chooser input{position:absolute;inset:0;width:100%;height:100%;margin:0;opacity:0;cursor:pointer}
.medlab-chooser label:has(:checked){border-color:var(--blue);box-shadow:inset 0 0 0 1px var(--blue);font-weight:600;
background:color-mix(in srgb,var(--blue) 16%,transparent)}
.medlab-chooser label:has(:focus-visible){outline:2px solid var(--blue);outline-offset:2px}
.medlab-chooser .medlab-head{font-weight:600;margin:1rem 0 .4rem}
.medlab-chooser ul{list-style:none;margin:0;padding:0;display:grid;gap:.6rem;
grid-template-columns:repeat(auto-fill,minmax(min(100%,22rem),1fr))}
.medlab-chooser li{margin:0;padding:.45rem .75rem;border-left:4px solid var(--blue);font-size:.92rem;min-width:0;
background:color-mix(in srgb,currentColor 5%,transparent);border-radius:0 .4rem .4rem 0}
.medlab-chooser li.medlab-caution{border-left-color:var(--orange)}
.medlab-chooser li p{margin:.25rem 0 0}
.medlab-chooser code{overflow-wrap:anywhere;background:none;border:0;padding:0;color:inherit;font-weight:600}
.medlab-chooser .medlab-python{margin:1rem 0 0;font-size:.85rem}
.medlab-chooser .medlab-python code{font-weight:400}
@media (max-width:600px){.medlab-chooser{padding:.7rem}
.medlab-chooser .medlab-three{grid-template-columns:minmax(0,1fr)}}
</style>"""


class Conditional(Protocol):
    """What stands under a condition: names of questions, and the answers that satisfy it."""

    when: Mapping[str, tuple[str, ...]]


class Rules(Protocol):
    """What the form needs to know of `medlab.metrics.chooser.Rules`."""

    questions: tuple
    recommendations: tuple
    cautions: tuple

    def answers(self, properties: Mapping[str, object]) -> dict[str, str]: ...
    def whole(self, when: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]: ...
    def recommended(self, properties: Mapping[str, object]) -> list: ...


def chooser(rules: Rules, *, start: Mapping[str, object] | None = None) -> None:
    """Display the form of `medlab.metrics.chooser.RULES`, with these answers chosen at the start.

    Raises ValueError for properties and answers that the rules do not know.
    """
    given = dict(start or {})
    chosen = rules.answers(given)
    identity = f"c{next(_count)}-{short_hash(*(question.text for question in rules.questions))}"
    form = _Form(identity, rules, chosen)
    body = f'{LOOK}<div class="medlab-chooser" id="{identity}" role="group" aria-label="Choose measures">{form.html()}'
    lines = [
        f"{question.text} {question.answers[chosen[question.name]]}"
        for question in rules.questions
        if question.name in chosen
    ]
    lines += [f"{one.call}: {one.why}" for one in rules.recommended(given)]
    display({"text/html": f"{body}{form.styles()}</div>", "text/plain": "\n".join(lines)}, raw=True)


class _Form:
    """The parts of one form. Each conditional part gets a class, for which `styles` makes a rule."""

    def __init__(self, identity: str, rules: Rules, chosen: Mapping[str, str]) -> None:
        self.identity, self.rules, self.chosen = identity, rules, chosen
        self.classes: dict[str, str] = {}  # a selector of buttons, one of which must be chosen: the class it governs

    def html(self) -> str:
        questions = "".join(map(self._question, self.rules.questions))
        advice = "".join(map(self._advice, self.rules.recommendations))
        heed = "".join(
            f'<li class="medlab-caution {self._kinds(one.when)}">{_markup(one.text)}</li>'
            for one in self.rules.cautions
        )
        return (
            f'{questions}<div aria-live="polite"><p class="medlab-head">Measure</p><ul>{advice}</ul>'
            f'<p class="medlab-head">Heed</p><ul>{heed}</ul></div>'
            f'<p class="medlab-python">In Python: <code>choose({"".join(self._arguments())})</code></p>'
        )

    def styles(self) -> str:
        """A part is hidden while none of its buttons is chosen; a browser that cannot tell hides nothing."""
        rules = (
            f"#{self.identity}:not(:has({buttons}))  .{name}{{display:none}}" for buttons, name in self.classes.items()
        )
        return f"<style>{''.join(rules)}</style>"

    def _kinds(self, when: Mapping[str, tuple[str, ...]]) -> str:
        """The classes of a part under this condition: one for each question that it depends on."""
        names = []
        for question, values in self.rules.whole(when).items():
            buttons = ",".join(f"#{self.identity}-{question}-{value}:checked" for value in values)
            names.append(self.classes.setdefault(buttons, f"{self.identity}-k{len(self.classes)}"))
        return " ".join(names)

    def _question(self, question) -> str:
        first = self.chosen.get(question.name, next(iter(question.answers)))
        answers = "".join(
            f'<label><input type="radio" name="{self.identity}-{question.name}" '
            f'id="{self.identity}-{question.name}-{value}" value="{value}"{" checked" * (value == first)}>'
            f"<span>{html.escape(text, quote=False)}</span></label>"
            for value, text in question.answers.items()
        )
        wide = {2: "", 3: " medlab-three"}.get(len(question.answers), " medlab-many")
        return (
            f'<fieldset class="{self._kinds(question.when)}{wide}"><legend>{html.escape(question.text, quote=False)}'
            f'</legend><div class="medlab-answers">{answers}</div></fieldset>'
        )

    def _advice(self, one) -> str:
        written = "".join(
            f'<span class="{self._kinds(argument.when)}">{", " * bool(at)}{html.escape(argument.text)}</span>'
            for at, argument in enumerate(one.arguments)
        )
        return (
            f'<li class="medlab-advice {self._kinds(one.when)}"><code>{one.metric}({written})</code>'
            f"<p>{_markup(one.why)}</p><p><em>Misses:</em> {_markup(one.misses)}</p></li>"
        )

    def _arguments(self) -> Iterator[str]:
        """The answers as arguments of `choose`; of defaults only the first question's."""
        for at, question in enumerate(self.rules.questions):
            for value in list(question.answers)[bool(at) :]:
                said = {"yes": "True", "no": "False"}.get(value, f'"{value}"')
                kinds = self._kinds({**question.when, question.name: (value,)})
                yield f'<span class="{kinds}">{", " * bool(at)}{question.name}={said}</span>'


def _markup(text: str) -> str:
    """Escaped text in which `code` keeps its meaning."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
