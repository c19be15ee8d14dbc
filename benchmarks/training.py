"""How long one training step of our 3D U-Net takes, and in how much memory, beside MONAI's U-Nets of the same size.

    python benchmarks/training.py [--quick] [--size 48] [--batch 2] [--rounds 5] [--device cpu] [--json record.json]

Every network with every option lives in a process of its own, which is asked for one step at a time; all are asked in
turns, so that a busy machine slows all of them: compare ratios, not seconds. A step is forward, cross entropy, backward
and Adam, on a random batch with two channels and four classes. MONAI has no U-Net of our design: its BasicUNet and
DynUNet (with residual blocks) stand beside it, with as many levels, full resolution at the first, and the width that
comes nearest in parameters; BasicUNet also at the width that comes nearest in floating point operations. MONAI's have
no switch for checkpointing; the other options are PyTorch's and serve both.

Memory of a step, MiB: `peak` is what the allocator had given out at its fullest, `tensors` the same without the
workspace of convolutions, `predicted` what `medlab.training.ledger` says beforehand, and `resident` what the process
grew by, after the same with a small batch. --quick: fewer networks and rounds, a smaller volume, no compilation.
"""

import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import torch
from _measure import circumstances, common_arguments, median, processor, write_record
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from medlab.nn import build
from medlab.training.ledger import MIB, measure_memory, predict_memory
from medlab.training.ledger.steps import cross_entropy, make_optimiser, take_step

OURS, BASIC, DYNAMIC = "medlab UNet3d", "MONAI BasicUNet", "MONAI DynUNet"
CHANNELS, CLASSES, WIDTHS = 2, 4, range(6, 17)
PLAIN, COMPILE = "none", "compile"
LAYOUT, SHORT = "channels-last", "bf16"
BOTH = f"{LAYOUT} + {SHORT}"
OPTIONS = {
    OURS: (PLAIN, LAYOUT, SHORT, BOTH, "accumulation", "checkpointing", "checkpointing + bf16", COMPILE),
    BASIC: (PLAIN, LAYOUT, SHORT, BOTH, "accumulation", COMPILE),
    DYNAMIC: (PLAIN, BOTH),
}
QUICK = {OURS: (PLAIN, SHORT, "checkpointing"), BASIC: (PLAIN, SHORT)}


def make(name: str, width: int, **options) -> nn.Module:
    if name == OURS:
        return build("unet3d", CHANNELS, CLASSES, width=width, **options)
    from monai.networks.nets import BasicUNet, DynUNet

    widths = [width * 2**level for level in range(5)]
    if name == BASIC:
        return BasicUNet(3, CHANNELS, CLASSES, features=(*widths, width))
    strides = [1, 2, 2, 2, 2]
    return DynUNet(3, CHANNELS, CLASSES, [3] * 5, strides, strides[1:], filters=widths, res_block=True)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def gigaflop(network: nn.Module, size: int) -> float:
    """Of one volume's forward pass, counted without doing it."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.to("meta")(torch.empty(1, CHANNELS, size, size, size, device="meta"))
    return counter.get_total_flops() / 1e9


def candidates(size: int, quick: bool) -> list[tuple[str, int, str]]:
    """Which networks at which width with which option."""
    options = QUICK if quick else OPTIONS
    wanted = [(OURS, 8, option) for option in options[OURS]]
    try:
        import monai  # noqa: F401
    except ImportError:
        return wanted
    count, work = parameters(make(OURS, 8)), gigaflop(make(OURS, 8), size)
    for name in list(options)[1:]:
        width = min(WIDTHS, key=lambda width, name=name: abs(parameters(make(name, width)) - count))
        wanted += [(name, width, option) for option in options[name]]
    busy = min(WIDTHS, key=lambda width: abs(gigaflop(make(BASIC, width), size) - work))
    if (BASIC, busy, PLAIN) not in wanted:
        wanted.append((BASIC, busy, PLAIN))
    return wanted


def serve(name: str, width: int, option: str, size: int, batch: int, seed: int, device: str) -> None:
    """In a process of its own: prints what it takes; then, for each line that comes in, the seconds of one step."""
    torch.manual_seed(seed)
    checkpointing = {"checkpointing": True} if "checkpointing" in option else {}
    network = make(name, width, **checkpointing).to(device)
    row = {"network": name, "width": width, "options": option, "parameters": parameters(network)}
    settings = {"precision": "bf16-mixed" if "bf16" in option else "32-true"}
    settings["accumulation"] = batch if option == "accumulation" else 1
    layout = torch.channels_last_3d if "channels-last" in option else torch.contiguous_format
    network = network.to(memory_format=layout)

    def make_batch(side: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = torch.randn(batch, CHANNELS, side, side, side, device=device).to(memory_format=layout)
        return image, torch.randint(0, CLASSES, (batch, side, side, side), device=device)

    given = make_batch(size)
    if option != COMPILE:  # a compiled network has no layers to look at
        measure_memory(network, make_batch(32), **settings)
        ledger = measure_memory(network, given, **settings)
        row |= {"peak_mib": ledger.peak / MIB, "tensors_mib": ledger.tensor_peak / MIB}
        row |= {"activations_mib": ledger.activations / MIB, "resident_mib": (ledger.resident or 0) / MIB}
        if name == OURS:
            row["predicted_mib"] = predict_memory(network, given[0].shape, **settings).peak / MIB
    else:
        network = torch.compile(network)
    optimiser = make_optimiser("adam", network)

    def step() -> float:
        start = time.perf_counter()
        how = settings["precision"], settings["accumulation"], lambda _: None
        take_step(network, given, cross_entropy, optimiser, *how)
        optimiser.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    step()
    print(json.dumps(row), flush=True)
    for _ in sys.stdin:
        print(json.dumps(step()), flush=True)


def start(name: str, width: int, option: str, given) -> subprocess.Popen:
    here = Path(__file__).parent
    arguments = (name, width, option, given.size, given.batch, given.seed, given.device)
    path = os.pathsep.join([str(here), str(here.parent), *filter(None, sys.path[1:])])
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", f"import training; training.serve(*{arguments!r})"],
        cwd=here,
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def measure(given) -> list[dict]:
    """All networks with all options, in turns."""
    wanted = candidates(given.size, given.quick)
    rows, running = [], []
    try:
        for index in range(0, len(wanted), 2):  # two at a time are made ready
            pair = [(what, start(*what, given)) for what in wanted[index : index + 2]]
            running += [process for _, process in pair]
            for (name, width, option), process in pair:
                first = process.stdout.readline()
                state = "ready" if first else "does not run here"
                print(f"{name} {width}, {option}: {state}", file=sys.stderr, flush=True)
                if first:
                    rows.append((json.loads(first) | {"seconds": []}, process))
        for _ in range(given.rounds):
            for row, process in rows:
                process.stdin.write("step\n")
                process.stdin.flush()
                row["seconds"].append(json.loads(process.stdout.readline()))
    finally:
        for process in running:
            process.stdin.close()
            process.wait()
    plain = median(next(row["seconds"] for row, _ in rows if row["network"] == OURS and row["options"] == PLAIN))
    for row, _ in rows:
        row["gigaflop"] = gigaflop(make(row["network"], row["width"]), given.size)
        row["median"] = median(row["seconds"])
        row["times_ours"] = row["median"] / plain
    return [row for row, _ in rows]


def main() -> None:
    parser = common_arguments(__doc__.splitlines()[0], rounds=5)
    parser.add_argument("--size", type=int, default=48, help="voxels along each axis")
    parser.add_argument("--batch", type=int, default=2, help="volumes in a step")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="little, in a minute: see above")
    given = parser.parse_args()
    if given.quick:
        given.rounds, given.size = min(given.rounds, 3), min(given.size, 32)
    if given.size < 32 or given.batch < 1 or given.rounds < 1:
        parser.error("--size is at least 32, --batch and --rounds at least 1")
    warnings.simplefilter("ignore")
    rows = measure(given)
    print(f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {given.device}\n")
    head = f"{'million':>7} {'GFLOP':>5} {'s':>6} {'times':>5} {'peak':>5} {'tensors':>7} {'resident':>8}"
    print(f"{'':19} {'options':20} {head}")
    for row in rows:
        memory = [row.get(f"{what}_mib") for what in ("peak", "tensors", "resident")]
        peak, tensors, resident = ("" if value is None else f"{value:.0f}" for value in memory)
        size = f"{row['parameters'] / 1e6:7.2f} {row['gigaflop']:5.1f}"
        took = f"{row['median']:6.2f} {row['times_ours']:5.2f} {peak:>5} {tensors:>7} {resident:>8}"
        print(f"{row['network'] + ' ' + str(row['width']):19} {row['options']:20} {size} {took}")
    if given.json:
        problem = {"size": given.size, "batch": given.batch, "channels": CHANNELS, "classes": CLASSES}
        problem |= {"seed": given.seed, "rounds": given.rounds, "device": given.device, "optimiser": "adam"}
        write_record(given.json, circumstances("training", problem) | {"rows": rows})


if __name__ == "__main__":
    main()
