"""How long position regression needs for the error at every voxel, dense beside patch by patch; its memory in training.

    python benchmarks/anomaly.py [--quick] [--size 64] [--rounds 3] [--device cpu] [--json record.json]

Scan: a volume of size³ voxels, and the place of the 31³ patch around each of them. `dense` is `PatchRegressor.dense`.
`patches` is `forward` in batches of 256, its convolutions and poolings folded into one another, as our training runs
it; `plain` the same network layer by layer, as one would write it down. These two are timed on one batch a round and
scaled to size³ patches, for all of them would take hours: the record names how many were measured. All three take
turns, so that a busy machine slows all of them: compare ratios, not seconds. `apart` is the largest difference between
the answers of `dense` and `patches`, at 64 random voxels.

Memory: MiB at the fullest moment of a training step, of what the allocator gave out. `predicted` comes from
`medlab.training.ledger` and leaves out the workspace of convolutions; `measured`, where the step was taken here, has
it. Position regression takes 256 patches of 31³, the autoencoder 1 and 4 volumes of 256³, as in the paper's table 1.

With --device cuda the volume has 256³ voxels: what the paper's 90 s stand for.
"""

import torch
from _measure import circumstances, common_arguments, in_turns, median, processor, write_record
from torch import Tensor, nn
from torch.nn import functional as F

from medlab.arguments import whole
from medlab.nn.autoencoder3d import Autoencoder3d
from medlab.nn.patch_regressor import PatchRegressor, sizes_up_to
from medlab.training.ledger import MIB, measure_memory, predict_memory

PATCH, BATCH, COMPARED = 31, 256, 64
VOLUME = 256  # the paper's, for the autoencoder's memory
PAPER_MB = {"position regression": (4452, 1760), "autoencoder, 4 volumes": (12548, 7894)}  # bleeds, fractures


class Plain(nn.Module):
    """The same network, one layer after the other: convolution, then pooling, then activation."""

    def __init__(self, network: PatchRegressor):
        super().__init__()
        self.network = network
        self.layers = nn.Sequential(*network.stages)

    def forward(self, patches: Tensor) -> Tensor:
        return self.network.head(F.leaky_relu(self.layers(patches), 0.1)).flatten(1)


def distance(found: Tensor, place: Tensor) -> Tensor:
    """The paper's loss."""
    return (found - place).norm(dim=1).mean()


def absolute(found: Tensor, image: Tensor) -> Tensor:
    return (found - image).abs().mean()


def scanned(size: int, edge: int, given) -> dict:
    """One row: seconds of a volume of edge³ voxels, in three ways."""
    torch.manual_seed(given.seed)
    network = PatchRegressor(size, PATCH).to(given.device)
    patches = torch.rand(BATCH, 1, PATCH, PATCH, PATCH, device=given.device)
    network(patches[:2])
    network.eval()
    plain, volume = Plain(network), torch.rand(1, 1, edge, edge, edge, device=given.device)
    wide = F.pad(volume, (network.halo,) * 6)[0, 0]
    corners = torch.randint(edge, (COMPARED, 3), generator=torch.Generator().manual_seed(given.seed)).tolist()
    some = torch.stack([wide[i : i + PATCH, j : j + PATCH, k : k + PATCH] for i, j, k in corners])[:, None]
    with torch.no_grad():
        torch.testing.assert_close(plain(some), network(some), atol=1e-5, rtol=0)
        dense = network.dense(volume, memory_mb=given.memory_mb)
        apart = max(
            float((dense[0, :, i, j, k] - one).abs().max())
            for (i, j, k), one in zip(corners, network(some), strict=True)
        )
        calls = {
            "dense": lambda: network.dense(volume, memory_mb=given.memory_mb),
            "patches": lambda: network(patches),
            "plain": lambda: plain(patches),
        }
        for call in calls.values():
            call()
        seconds = in_turns(calls, given.rounds)
    scale = edge**3 / BATCH
    row = {"part": "scan", "m": size, "edge": edge, "measured_patches": BATCH * given.rounds, "apart": apart}
    row |= {"parameters": sum(one.numel() for one in network.parameters()), "seconds": seconds}
    row["dense_s"] = median(seconds["dense"])
    for name in ("patches", "plain"):
        row[f"{name}_s"] = scale * median(seconds[name])
        row[f"times_{name}"] = row[f"{name}_s"] / row["dense_s"]
    return row


def remembered(size: int, given) -> list[dict]:
    """Rows: memory of a training step of both methods at this size."""
    rows = []
    shapes = ((BATCH, 1, PATCH, PATCH, PATCH), (BATCH, 3))
    for way in ("folded", "plain"):

        def make(way=way) -> nn.Module:
            network = PatchRegressor(size, PATCH)
            return network if way == "folded" else Plain(network)

        with torch.device("meta"):
            ledger = predict_memory(make(), shapes[0], loss=distance, target_shape=shapes[1])
        row = {"part": "memory", "method": f"position regression, {way}", "m": size, "predicted_mib": ledger.peak / MIB}
        if size <= given.measured:
            batch = tuple(torch.rand(shape, device=given.device) for shape in shapes)
            row["measured_mib"] = measure_memory(make().to(given.device), batch, distance).peak / MIB
        rows.append(row)
    for count in (1, 4):
        shape = (count, 1, VOLUME, VOLUME, VOLUME)
        with torch.device("meta"):
            ledger = predict_memory(Autoencoder3d(size), shape, loss=absolute, target_shape=shape)
        rows.append(
            {
                "part": "memory",
                "method": f"autoencoder, {count} volume{'s' * (count > 1)}",
                "m": size,
                "predicted_mib": ledger.peak / MIB,
            }
        )
    return rows


def shown(row: dict) -> str:
    if row["part"] == "memory":
        measured = f"{row['measured_mib']:9.0f}" if "measured_mib" in row else ""
        return f"{row['m']:4} {row['method']:30} {row['predicted_mib']:9.0f} {measured}"
    took = f"{row['dense_s']:9.2f} {row['patches_s']:9.0f} {row['plain_s']:9.0f}"
    return (
        f"{row['m']:4} {row['edge']:4} {took} {row['times_patches']:8.0f} {row['times_plain']:8.0f}  {row['apart']:.1e}"
    )


def main() -> None:
    parser = common_arguments(__doc__.splitlines()[0], rounds=3)
    parser.add_argument("--size", type=int, help="voxels along each axis of the volume; 64, on an accelerator 256")
    parser.add_argument("--largest", type=int, default=64, help="the largest m")
    parser.add_argument("--measured", type=int, default=16, help="memory is also measured up to this m")
    parser.add_argument("--memory-mb", type=float, default=512.0, help="of a tile of the dense evaluation")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="little, in a minute: m = 1 and 4, a smaller volume")
    given = parser.parse_args()
    edge = given.size or (64 if given.device == "cpu" else 256)
    if given.quick:
        given.rounds, given.largest, given.measured, edge = (
            min(given.rounds, 2),
            min(given.largest, 4),
            1,
            min(edge, 24),
        )
    sizes = [m for m in sizes_up_to(whole(given.largest, "--largest", 1, 64)) if not given.quick or m in (1, 4)]
    print(f"{processor()}, {torch.get_num_threads()} threads, {given.device}\n")
    rows = []
    print(f"{'m':>4} {'edge':>4} {'dense s':>9} {'patches s':>9} {'plain s':>9} {'times':>8} {'plain':>8}  apart")
    for size in sizes:
        rows.append(scanned(size, edge, given))
        print(shown(rows[-1]), flush=True)
    print(f"\n{'m':>4} {'training step':30} {'predicted':>9} {'measured':>9}  MiB")
    for size in sizes:
        found = remembered(size, given)
        rows += found
        print("\n".join(map(shown, found)), flush=True)
    if given.json:
        problem = {"patch": PATCH, "batch": BATCH, "edge": edge, "memory_mb": given.memory_mb, "seed": given.seed}
        problem |= {"rounds": given.rounds, "device": given.device, "paper_mb": PAPER_MB, "volume": VOLUME}
        write_record(given.json, circumstances("anomaly", problem) | {"rows": rows})


if __name__ == "__main__":
    main()
