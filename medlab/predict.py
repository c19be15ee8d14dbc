"""Use trained weights from the command line: `python -m medlab.predict WEIGHTS FILE...`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from medlab.arguments import one_of
from medlab.methods.training import METHODS, command_of
from medlab.profiles import accelerator
from medlab.training import load_weights

HELP = """\
Apply trained weights to scans (NIfTI, Analyze, or a folder of DICOM). The card beside the weights says which method and
which sequences they are for.

examples:
  python -m medlab.predict runs/iseg/weights.safetensors subject-11-T1.nii.gz subject-11-T2.nii.gz
      weights for two sequences take two files a scan, in the order of the card
  python -m medlab.predict weights.safetensors scans/*_both.nii.gz --output results
      or one file a scan that holds them all

A segmentation is written as NAME_segmentation.nii.gz, with the voxels and the affine of the scan's first file; the
map of a method of anomaly detection as NAME_error_map.nii.gz beside NAME_head.nii.gz, the CT on the reference's grid.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Gives 0, or 2 after one sentence about what is wrong with a file."""
    parser = argparse.ArgumentParser(
        prog="python -m medlab.predict", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="NAME.safetensors, with its card NAME.json")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="the scans")
    parser.add_argument("--output", type=Path, default=Path("."), help="folder for the results (default: here)")
    parser.add_argument("--flips", action="store_true", help="average with the prediction of the mirrored scan")
    parser.add_argument("--device", help="cpu, cuda or mps (default: the accelerator, where there is one)")
    given = parser.parse_args(arguments)
    try:
        tensors, card = load_weights(given.weights)
        method = one_of(card.get("method"), METHODS, f"{given.weights}: the method on the card")
        for path in given.files:
            if not path.exists():
                raise FileNotFoundError(f"{path}: there is no such file, expected a scan")
        given.output.mkdir(parents=True, exist_ok=True)
        device = torch.device(given.device) if given.device else accelerator() or torch.device("cpu")
        command = command_of(method)
        results = command.predict(tensors, card, given.files, given.output, device, given.flips)
        digits = 1 if command.UNIT else 4
        for path, numbers in results:
            told = ", ".join(f"{name} {value:.{digits}f}{command.UNIT}" for name, value in numbers.items())
            print(f"{path}: {told}", flush=True)
    except (ValueError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
