"""How fast and how exactly `medlab.physics.ct` projects and reconstructs, beside scikit-image, ASTRA and deepinv.

    python benchmarks/ct.py [--sizes 256x180 512x360] [--batch 32] [--rounds 5] [--device cpu] [--json record.json]

Projections are of four soft ellipses (`phantoms.soft_head`), drawn as the mean over each pixel, and their error is that
against the exact integrals; reconstructions are of Shepp and Logan's phantom from its exact integrals, and their error
is the RMS difference from the drawing within 0.95 of the half field. Each peer is asked for the rays and pixels of its
own centre of rotation. All run in one process in turns: compare ratios, not seconds. What is not installed is left out.

"traffic" is what our steps read and write at least, as a share of what a plain copy moves on this machine in the same
time: the bound is memory, and a share near 1 means that the bound is reached.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from _measure import circumstances, common_arguments, in_turns, median, processor, write_record
from torch import Tensor

from medlab.physics.ct.angles import evenly_spaced
from medlab.physics.ct.projection import ParallelBeam
from medlab.physics.ct.reconstruction import fbp
from medlab.physics.phantoms import Ellipse, draw, line_integrals, shepp_logan, soft_head

OURS = "medlab"


class Task:
    """One size: drawings, exact sinograms and our scanner; integrals in pixels, as the peers count."""

    def __init__(self, size: int, views: int, device: str):
        self.size, self.views, self.device = size, views, device
        self.angles = evenly_spaced(views)
        self.detectors = size + 1 if size % 2 == 0 else size
        # 10 mm a pixel, so that a length in cm is one in pixels.
        self.scanner = ParallelBeam(self.angles, size, detectors=self.detectors, pixel_mm=10.0)
        self.image = draw(soft_head(), size).to(device)
        self.sinogram = self.integrals(shepp_logan(), self.scanner.offsets_mm / 10).float().to(device)

    def integrals(self, phantom: list[Ellipse], offsets: Tensor) -> Tensor:
        """Exact, at offsets in pixels."""
        half = self.size / 2
        return line_integrals(phantom, torch.deg2rad(self.angles)[:, None], offsets / half) * half

    def drawing(self, phantom: list[Ellipse], shift: tuple[float, float]) -> Tensor:
        """The phantom drawn `shift` pixels beyond the middle of the grid."""
        x, y = (2 * pixels / self.size for pixels in shift)
        return draw([replace(e, x=e.x + x, y=e.y + y) for e in phantom], self.size)

    def error(self, sinogram: Tensor, offsets: Tensor) -> float:
        exact = self.integrals(soft_head(), offsets)
        return float((sinogram.double().cpu() - exact).norm() / exact.norm())

    def rms(self, image: Tensor, shift: tuple[float, float] = (0.0, 0.0)) -> float:
        """Of a reconstruction whose centre of rotation is `shift` pixels beyond the middle of the grid."""
        truth = self.drawing(shepp_logan(), shift)
        place = (torch.arange(self.size) - (self.size - 1) / 2) / (self.size / 2)
        inside = place[:, None].square() + place.square() < 0.95**2
        return float((image.cpu() - truth)[inside].square().mean().sqrt())


class Peer:
    """What a library can do: names of its calls, and how its answers are judged. Calls return tensors."""

    def __init__(self, name: str, project: Callable, judge: Callable, reconstruct=None, judge_image=None, both=None):
        self.name, self.project, self.judge = name, project, judge
        self.reconstruct, self.judge_image, self.both = reconstruct, judge_image, both


def medlab_peer(task: Task) -> Peer:
    offsets = task.scanner.offsets_mm / 10

    def both() -> Tensor:
        image = task.image.clone().requires_grad_()
        task.scanner(image).square().sum().backward()
        return image.grad

    return Peer(
        OURS,
        lambda: task.scanner(task.image),
        lambda sinogram: task.error(sinogram, offsets),
        lambda: fbp(task.sinogram, task.scanner, "ramp"),
        task.rms,
        both,
    )


def scikit_image_peer(task: Task) -> Peer | None:
    try:
        from skimage.transform import iradon, radon
    except ImportError:
        return None
    size, degrees = task.size, task.angles.numpy()
    # Its rows run downwards, its centre is pixel size // 2.
    offsets = torch.arange(size, dtype=torch.float64) - size // 2
    shift = size // 2 - (size - 1) / 2
    image = task.drawing(soft_head(), (shift, -shift)).flip(1).T.contiguous().numpy()
    sinogram = task.integrals(shepp_logan(), offsets).T.float().numpy()

    return Peer(
        "scikit-image",
        lambda: torch.as_tensor(radon(image, theta=degrees, circle=True).T.copy()),
        lambda found: task.error(found, offsets),
        lambda: torch.as_tensor(iradon(sinogram, theta=degrees, filter_name="ramp", circle=True)).float(),
        lambda found: task.rms(found.flip(0).T, (shift, -shift)),
    )


def astra_peer(task: Task) -> Peer | None:
    try:
        import astra
    except ImportError:
        return None
    size = task.size
    volume = astra.create_vol_geom(size, size)
    geometry = astra.create_proj_geom("parallel", 1.0, task.detectors, torch.deg2rad(task.angles).numpy())
    projector = astra.create_projector("linear", geometry, volume)
    offsets = task.scanner.offsets_mm / 10
    # Its rows run downwards.
    image = task.image.cpu().flip(1).T.contiguous().numpy()
    measured = astra.data2d.create("-sino", geometry, task.sinogram.cpu().numpy())
    result = astra.data2d.create("-vol", volume)
    settings = astra.astra_dict("FBP") | {"ProjectorId": projector, "ProjectionDataId": measured}
    settings |= {"ReconstructionDataId": result, "option": {"FilterType": "Ram-Lak"}}
    algorithm = astra.algorithm.create(settings)

    def project() -> Tensor:
        number, sinogram = astra.create_sino(image, projector)
        astra.data2d.delete(number)
        return torch.as_tensor(sinogram)

    def reconstruct() -> Tensor:
        astra.algorithm.run(algorithm)
        return torch.as_tensor(astra.data2d.get(result))

    return Peer(
        "ASTRA linear",
        project,
        lambda found: task.error(found, offsets),
        reconstruct,
        lambda found: task.rms(found.flip(0).T),
    )


def deepinv_peer(task: Task) -> Peer | None:
    try:
        from deepinv.physics.functional.radon import Radon
    except Exception:  # it imports much that may be missing
        return None
    size = task.size
    # circle=True: otherwise it pads the image off its centre.
    radon = Radon(in_size=size, theta=task.angles.float(), circle=True, device=task.device)
    image = task.image.flip(1).T[None, None].contiguous()
    offsets = torch.arange(size, dtype=torch.float64) - (size - 1) / 2

    def both() -> Tensor:
        leaf = image.clone().requires_grad_()
        radon(leaf).square().sum().backward()
        return leaf.grad

    def project() -> Tensor:
        with torch.no_grad():
            return radon(image)[0, 0].T

    return Peer("deepinv", project, lambda found: task.error(found, offsets), both=both)


def traffic_bytes(scanner: ParallelBeam) -> int:
    """What one projection in float32 must read and write: every array of every step once."""
    total = 0
    for _, views, _, half in scanner._halves:
        count = half.wide // 2 + 1
        real, spectrum, lines = 4 * half.size**2, 8 * half.size * count, 8 * len(views) * count
        padded, fine = 8 * count * half.high, 4 * len(views) * half.wide * 2
        table = 8 * (half._slices.index.numel() + half._detector.index.numel())
        total += 2 * real + 2 * spectrum + 4 * padded + 4 * lines + 2 * fine + table + 4 * len(views) * half.detectors
    return total


def copy_rate(device: str) -> float:
    """Bytes a second that a plain copy of 256 MiB reads and writes."""
    source = torch.ones(2**26, device=device)
    target = torch.empty_like(source)
    seconds = in_turns({"copy": lambda: target.copy_(source)}, 5)["copy"]
    return 2 * source.numel() * 4 / min(seconds)


def run(task: Task, batch: int, rounds: int) -> list[dict]:
    found = [make(task) for make in (medlab_peer, scikit_image_peer, astra_peer, deepinv_peer)]
    peers = [peer for peer in found if peer]
    rows = []
    for what, call, judge in (
        ("projection", lambda p: p.project, lambda p: p.judge),
        ("FBP, ramp", lambda p: p.reconstruct, lambda p: p.judge_image),
        ("forward + backward", lambda p: p.both, lambda p: None),
    ):
        able = {peer.name: peer for peer in peers if call(peer)}
        errors = {name: judge(peer)(call(peer)()) if judge(peer) else None for name, peer in able.items()}
        if not any(judge(peer) for peer in able.values()):
            for peer in able.values():
                call(peer)()
        for name, seconds in in_turns({name: call(peer) for name, peer in able.items()}, rounds).items():
            rows.append({"what": what, "name": name, "images": 1, "seconds": seconds, "error": errors[name]})
    images = task.image.expand(batch, -1, -1).contiguous()
    many = partial(task.scanner, images)
    many()
    seconds = in_turns({OURS: many}, max(2, rounds // 2))[OURS]
    rows.append({"what": "projection", "name": OURS, "images": batch, "seconds": seconds, "error": None})
    for row in rows:
        row |= {"size": task.size, "views": task.views, "median": median(row["seconds"]) / row["images"]}
    return rows


def show(rows: list[dict]) -> None:
    print(f"{'':22}{'size':>10}{'images':>8}{'s an image':>12}{'x ours':>9}{'error':>10}")
    for row in rows:
        ours = next(r for r in rows if (r["what"], r["size"], r["name"]) == (row["what"], row["size"], OURS))
        error = "" if row["error"] is None else f"{row['error']:.4f}"
        ratio = row["median"] / ours["median"]
        label, size = f"{row['what'][:10]} {row['name']}", f"{row['size']}x{row['views']}"
        print(f"{label:24}{size:>8}{row['images']:8}{row['median']:12.4f}{ratio:9.2f}{error:>10}")


def main() -> int:
    parser = common_arguments(__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["256x180", "512x360"], help="pixels x views")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    try:
        sizes = [tuple(int(number) for number in size.split("x")) for size in options.sizes]
        tasks = [Task(size, views, options.device) for size, views in sizes]
    except ValueError as problem:
        parser.error(f"--sizes is {options.sizes}, expected such as 256x180 ({problem})")
    print(f"{processor()}, {options.device}, {torch.get_num_threads()} threads")
    rate, rows, shares = copy_rate(options.device), [], {}
    for task in tasks:
        found = run(task, options.batch, options.rounds)
        rows += found
        for row in found:
            if row["what"] == "projection" and row["name"] == OURS:
                share = traffic_bytes(task.scanner) / row["median"] / rate
                shares[f"{task.size}x{task.views}, {row['images']} at a time"] = share
    show(rows)
    for name, share in shares.items():
        print(f"{name}: {100 * share:.0f} % of the copy rate of {rate / 1e9:.1f} GB/s")
    if options.json:
        problem = {"sizes": options.sizes, "batch": options.batch, "device": options.device, "seed": options.seed}
        write_record(options.json, circumstances("ct", problem) | {"rows": rows, "copy_rate": rate, "shares": shares})
    ours = [row for row in rows if row["name"] == OURS and row["error"] is not None]
    wrong = [row for row in ours if not row["error"] < math.inf]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
