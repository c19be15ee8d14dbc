"""Judge a prediction by its reference: every measure that applies, in one table.

Both are NIfTI files, DICOM series, or folders of NIfTI files whose names agree. What they are is seen from their
values: masks (0 and 1), label maps, probabilities against a mask, or images.
"""

import argparse
import math
import os
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from medlab.metrics.report import Report, evaluate
from medlab.metrics.report.columns import REFERENCE, Options, measures
from medlab.metrics.report.kinds import KINDS
from medlab.metrics.surface_distances import BORDERS, RULES, WEIGHTINGS

EXAMPLES = """examples
  one mask                   python -m medlab.metrics prediction.nii.gz reference.nii.gz
  BraTS labels by name       python -m medlab.metrics prediction.nii.gz reference.nii.gz --labels 1 2 4 \\
                                 --names necrosis oedema enhancing --empty 1
  a folder against another   python -m medlab.metrics predictions/ references/ --csv results.csv
  a synthetic image          python -m medlab.metrics synthetic.nii.gz real.nii.gz --data-range 1 --mask brain.nii.gz
  numbers for a program      python -m medlab.metrics prediction.nii.gz reference.nii.gz --json
"""
END = """A value that does not exist is said to be undefined (0 / 0) or infinite (a surface against none) and is left
out of means; the line "pairs counted" says how many remain. Exit code 0, or 2 with one sentence for input that cannot
be judged."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        print(f"{self.prog}: {message} (--help explains)", file=sys.stderr)
        raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    given = _parser().parse_args(arguments)
    try:
        report = evaluate(
            given.prediction,
            given.reference,
            mask=given.mask,
            progress=_progress,
            **{name: getattr(given, name) for name in Options.__dataclass_fields__},
        )
        if given.csv not in (None, "-"):
            _write(Path(given.csv), report.csv())
    except (ValueError, OSError) as error:
        _progress("")
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    _progress("")
    try:
        _print(report, given)
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _print(report: Report, given: argparse.Namespace) -> None:
    if given.csv == "-" or given.json:
        sys.stdout.write(report.csv() if given.csv == "-" else report.json())
        for note in report.notes if given.csv == "-" else ():
            print(f"note: {note}", file=sys.stderr)
    else:
        print(report)
    sys.stdout.flush()


def _progress(name: str) -> None:
    """The pair that is being judged, on one line of a terminal; an empty name clears it."""
    if sys.stderr.isatty():
        print(f"\r\033[K{name}", end="", file=sys.stderr, flush=True)


def _write(path: Path, text: str) -> None:
    """The whole file or none of it."""
    if path.is_dir():
        raise ValueError(f"{path}: it is a folder, expected the name of a file")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}, expected one that exists")
    temporary = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        temporary.write_text(text, encoding="utf-8", newline="")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _empty(text: str) -> float:
    if text not in ("nan", "0", "1"):
        raise argparse.ArgumentTypeError(f"{text!r} is not one of nan, 0, 1")
    return math.nan if text == "nan" else float(text)


def _data_range(text: str) -> float | str:
    if text == REFERENCE:
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor {REFERENCE!r}") from None


def _columns() -> str:
    lines = ["what the columns are"]
    group = ""
    for one in measures(Options()):
        lines += [""] if one.group != group else []
        group = one.group
        lines.append(f"  {one.name:<30}{one.text}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    defaults = Options()
    parser = _Parser(
        prog="python -m medlab.metrics",
        description=__doc__,
        epilog=f"{EXAMPLES}\n{_columns()}\n\n{END}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("prediction", help="NIfTI file, DICOM series (a folder), or folder of NIfTI files")
    add("reference", help="the same of the truth, on the same grid; axes may be flipped or permuted")
    add(
        "--kind",
        choices=("auto", *KINDS),
        default="auto",
        help="what they are, where their values may mislead",
    )
    add("--labels", type=int, nargs="+", metavar="N", help="judge these labels (default: all that either holds)")
    add("--names", nargs="+", metavar="NAME", help="a name for each of --labels")
    add("--mask", metavar="FILE", help="judge only voxels in this mask of 0 and 1 (or a folder of them, by name)")
    add(
        "--data-range",
        type=_data_range,
        metavar="SPAN",
        help="the span of values of the modality, which PSNR and SSIM need; 'reference' takes each reference's own",
    )
    add(
        "--threshold",
        type=float,
        default=defaults.threshold,
        metavar="P",
        help="of a map (default %(default)s)",
    )
    add("--beta", type=float, default=defaults.beta, metavar="B", help="of f_beta (default %(default)s)")
    add(
        "--tolerance-mm",
        type=float,
        default=defaults.tolerance_mm,
        metavar="MM",
        help="of normalized_surface_dice: what two readers differ by (default %(default)s)",
    )
    add("--percentile", type=float, default=defaults.percentile, metavar="P", help="of distances (default %(default)s)")
    add(
        "--rule",
        choices=RULES,
        help="how two directions make one number (default: directed for the percentile, pooled for the mean)",
    )
    add(
        "--border",
        choices=BORDERS,
        default=defaults.border,
        help="voxels with a free face, or corner, or all voxels (default %(default)s)",
    )
    add(
        "--weighting",
        choices=WEIGHTINGS,
        default=defaults.weighting,
        help="each counts once, or by its area (default %(default)s)",
    )
    add("--empty", type=_empty, metavar="{nan,0,1}", help="what stands for a structure that neither has (default nan)")
    add("--lesions", action="store_true", help="count lesions found and false alarms, too")
    add("--csv", metavar="FILE", help="write all numbers in full; - for standard output instead of the table")
    add("--json", action="store_true", help="print JSON instead of the table")
    return parser


if __name__ == "__main__":
    sys.exit(main())
