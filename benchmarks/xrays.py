"""How near `medlab.physics.ct.xray.tube_spectrum` comes to SpekPy, and how long each takes.

    python benchmarks/xrays.py [--beams 80x2.5 100x2.5 120x2.5 120x6] [--rounds 5] [--json record.json]

Beams of a tungsten anode at 12 degrees behind aluminium, in bins of 1 keV. Each program gives the half-value layer of
its own spectrum by its own tables of attenuation; SpekPy does so twice, with the tables that it comes with and with
NIST's. "by ours" is the half-value layer of a program's spectrum by our formula and tables, so what then still differs
lies in the spectrum. "apart" is the share of the photons that would have to change their energy to make a spectrum
ours. SpekPy is left out where it is not installed, and then there is nothing to compare.
"""

import sys
from collections.abc import Callable
from functools import partial

import torch
from _measure import circumstances, common_arguments, in_turns, median, processor, write_record

from medlab.physics.ct.xray import Spectrum, half_value_layer_mm, tube_spectrum

OURS = "medlab"
TABLES = {"SpekPy": "pene", "SpekPy, NIST's tables": "nist"}


def ours(kv: float, mm: float) -> tuple[Spectrum, float]:
    """Our spectrum and its half-value layer in mm."""
    spectrum = tube_spectrum(kv, mm)
    return spectrum, half_value_layer_mm(spectrum)


def spekpy_peers() -> dict[str, Callable[[float, float], tuple[Spectrum, float]]]:
    """SpekPy with each of its tables by name; empty where it is not installed."""
    try:
        from spekpy import Spek
    except ImportError:
        return {}

    def theirs(kv: float, mm: float, tables: str) -> tuple[Spectrum, float]:
        tube = Spek(kvp=kv, th=12, dk=1.0, mu_data_source=tables)
        tube.filter("Al", mm)
        energies, photons = tube.get_spectrum(edges=False)
        return Spectrum(torch.as_tensor(energies), torch.as_tensor(photons)), float(tube.get_hvl1())

    return {name: partial(theirs, tables=tables) for name, tables in TABLES.items()}


def apart(first: Spectrum, second: Spectrum) -> float:
    """The share of the photons that lie in other bins of 1 keV; a bin that a spectrum lacks is empty."""
    bins = [
        {round(float(e), 3): float(n) for e, n in zip(s.energies_kev, s.photons, strict=True)} for s in (first, second)
    ]
    return sum(abs(bins[0].get(e, 0.0) - bins[1].get(e, 0.0)) for e in bins[0].keys() | bins[1].keys()) / 2


def compare(kv: float, mm: float, rounds: int) -> list[dict]:
    """One row for each program."""
    peers = {OURS: ours} | spekpy_peers()
    rows = []
    for name, seconds in in_turns({name: partial(peer, kv, mm) for name, peer in peers.items()}, rounds).items():
        spectrum, layer = peers[name](kv, mm)
        rows.append(
            {
                "what": "beam",
                "name": name,
                "kv": kv,
                "aluminium_mm": mm,
                "half_value_layer_mm": layer,
                "half_value_layer_by_ours_mm": half_value_layer_mm(spectrum),
                "mean_energy_kev": spectrum.mean_energy_kev,
                "apart": apart(spectrum, ours(kv, mm)[0]),
                "seconds": seconds,
                "median": median(seconds),
            }
        )
    return rows


def show(rows: list[dict]) -> None:
    print(f"{'':24}{'beam':>12}{'layer mm':>10}{'by ours':>10}{'mean keV':>10}{'apart %':>9}{'s':>9}")
    for row in rows:
        beam = f"{row['kv']:g} kV {row['aluminium_mm']:g}"
        layers = f"{row['half_value_layer_mm']:10.4f}{row['half_value_layer_by_ours_mm']:10.4f}"
        rest = f"{row['mean_energy_kev']:10.2f}{100 * row['apart']:9.2f}{row['median']:9.4f}"
        print(f"{row['name']:24}{beam:>12}{layers}{rest}")


def main() -> int:
    parser = common_arguments(__doc__.splitlines()[0])
    parser.add_argument("--beams", nargs="+", default=["80x2.5", "100x2.5", "120x2.5", "120x6"], help="kV x mm")
    options = parser.parse_args()
    try:
        beams = [tuple(float(number) for number in beam.split("x")) for beam in options.beams]
        rows = [row for kv, mm in beams for row in compare(kv, mm, options.rounds)]
    except ValueError as problem:
        parser.error(f"--beams is {options.beams}, expected such as 120x2.5 ({problem})")
    print(f"{processor()}, {torch.get_num_threads()} threads")
    show(rows)
    if options.json:
        problem = {"beams": options.beams, "anode_deg": 12, "step_kev": 1.0}
        write_record(options.json, circumstances("xrays", problem) | {"rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
