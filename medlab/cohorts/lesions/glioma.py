"""Gliomas: grown from one place in white matter, seen as oedema, enhancing rim and core, pushing the brain aside."""

import math
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from medlab.arguments import number, whole
from medlab.cohorts.anatomy import head_model
from medlab.cohorts.deformation import CONTROL_MM
from medlab.cohorts.grid import sample
from medlab.cohorts.lesions.infiltration import Infiltration, infiltrate
from medlab.cohorts.lesions.lesion import Lesion, replace_by
from medlab.cohorts.lesions.places import Blocks, model_points, put_back, taken_out
from medlab.cohorts.texture import smooth_noise
from medlab.cohorts.tissues import BRAIN
from medlab.data.chance import generator_for

# The labels of BraTS 2017 to 2020 (Menze et al., IEEE Trans. Med. Imaging 34, 2015), for `Subject.labels`.
GLIOMA_LABELS = {1: ("tumour core",), 2: ("oedema",), 4: ("enhancing tumour",)}
GLIOMA_NAMES = {1: "necrotic and non-enhancing tumour core", 2: "peritumoural oedema", 4: "enhancing tumour"}
GRADES = ("high", "low")
# Where gliomas begin: near the shares of Larjavaara et al., Neuro-Oncology 9, 2007, for the four lobes alone.
LOBES, LOBE_SHARES = ("frontal", "temporal", "parietal", "occipital"), (0.46, 0.33, 0.16, 0.05)
# Densities from which T2 and, with contrast, T1 show a tumour (Swanson's thresholds); the one in the cortex, which
# vasogenic oedema spares, is a round number.
SEEN_ON_T2, SEEN_IN_CORTEX, SEEN_ON_T1CE = 0.16, 0.5, 0.8
FRONT = 6.1  # so many sqrt(D / rho) lie between the first and the last of these: ln(0.8 / 0.2 * 0.84 / 0.16) * 2
# How far borders wander (standard deviation), and over what width they change, in mm of white matter; round.
CORE_BORDER_MM, OEDEMA_BORDER_MM, SOFT_MM, OEDEMA_SOFT_MM = 2.2, 3.0, 0.5, 1.2
# D varies from place to place by a log-normal factor of this spread, limited, over this length: round numbers, and in
# none of the papers named here; without it tumours in white matter are balls.
UNEVEN, MOST_UNEVEN, UNEVEN_MM = 0.8, 2.5, 8.0
CLOSING_MM = 5.0  # furrows close so far around it
RIM_MM = 2.5  # the density is smoothed by so much before it says how deep a place is: the rim runs along dura too
SOLID = 0.62  # of a low grade's core is as fluid as necrosis, the rest like oedema
PUSH_SIGMA_MM, HELD_MM = 12.0, 10.0  # how far a tumour pushes, and how far the skull holds the brain beside it


@dataclass(frozen=True)
class Glioma(Lesion):
    """A glioma in template coordinates, grown by reaction and diffusion on the head model (`infiltration`).

    seed: of the random field that makes borders irregular. grade: "high" (necrosis within an enhancing rim) or "low"
    (a core with little or no enhancement). origin_mm: where it began, in the brain. diffusivity: of its cells in white
    matter in mm²/year, in grey matter slower by grey_ratio. proliferation: 1/year. It ends with volume_ml of brain at a
    density above 0.16, or after days; the other one is None. enhancing: share of the core that takes up contrast.
    push_mm: velocity of the mass effect where it is greatest. spacing_mm: of the head model that it grows on.
    Raises ValueError for other values; for an origin outside the brain or a volume out of reach when it is grown.
    """

    seed: int
    grade: str
    origin_mm: tuple[float, float, float]
    diffusivity: float = 30.0
    proliferation: float = 6.0
    volume_ml: float | None = 60.0
    days: float | None = None
    grey_ratio: float = 7.0
    enhancing: float = 0.5
    push_mm: float = 4.0
    spacing_mm: int = 2

    def __post_init__(self) -> None:
        whole(self.seed, "seed", 0)
        if self.grade not in GRADES:
            raise ValueError(f"grade is {self.grade!r}, expected high or low")
        if len(self.origin_mm) != 3 or not np.isfinite(self.origin_mm).all():
            raise ValueError(f"origin_mm is {self.origin_mm!r}, expected three finite numbers")
        number(self.diffusivity, "diffusivity", 0, above=True)
        number(self.proliferation, "proliferation", 0, above=True)
        number(self.grey_ratio, "grey_ratio", 1)
        number(self.enhancing, "enhancing", 0, 1)
        number(self.push_mm, "push_mm", 0, 15)
        whole(self.spacing_mm, "spacing_mm", 1, 8)
        if (self.volume_ml is None) == (self.days is None):
            raise ValueError(f"volume_ml is {self.volume_ml} and days is {self.days}, expected one of them to be None")
        if self.days is None:
            number(self.volume_ml, "volume_ml", 0.5, 400)
        else:
            number(self.days, "days", 0, above=True)

    @cached_property
    def cells(self) -> Infiltration:
        """The density of its cells, grown when first asked for."""
        chance = generator_for(self.seed, "glioma growth")
        noise = smooth_noise(head_model(CONTROL_MM).shares.shape[1:], UNEVEN_MM / CONTROL_MM, chance)
        return infiltrate(
            self.origin_mm,
            self.diffusivity,
            self.proliferation,
            grey_ratio=self.grey_ratio,
            spacing_mm=self.spacing_mm,
            threshold=SEEN_ON_T2,
            volume_ml=self.volume_ml,
            days=self.days,
            uneven=torch.exp(UNEVEN * noise).clamp(1 / MOST_UNEVEN, MOST_UNEVEN),
        )

    @property
    def logits_per_mm(self) -> float:
        """How steep the front is in white matter: logit(u) falls by so much a mm."""
        return 0.5 / math.sqrt(self.diffusivity / self.proliferation)

    def velocity_mm(self) -> Tensor | None:
        """Away from the bulk: down the gradient of the smoothed density, (3, X, Y, Z); 0 at and beyond the skull."""
        model = head_model(CONTROL_MM)
        density = sample(self.cells.density[None], self.cells.affine, model_points(CONTROL_MM), outside="zeros")[0]
        bulk = torch.from_numpy(ndimage.gaussian_filter(density.numpy(), PUSH_SIGMA_MM / CONTROL_MM))
        depth = (-model.away_mm - CONTROL_MM / 2).clamp(min=0)  # so that no voxel across the skull's inside moves
        away = -torch.stack(torch.gradient(bulk)) * (1 - torch.exp(-((depth / HELD_MM) ** 2)))
        return self.push_mm * away / away.norm(dim=0).max().clamp(min=1e-12)

    @cached_property
    def _looks(self) -> tuple[Tensor, float]:
        """Fields (4, X, Y, Z) on the box of `cells`, and the score in the core below which contrast is taken up.

        The fields: the noise of the oedema's border and of the core's, the score, and what presses furrows shut.
        """
        density, step, chance = self.cells.density, self.spacing_mm, generator_for(self.seed, "glioma")
        noises = [
            0.6 * smooth_noise(tuple(density.shape), fine / step, chance)
            + 0.8 * smooth_noise(tuple(density.shape), coarse / step, chance)
            for fine, coarse in ((4.0, 8.0), (3.0, 6.0), (2.5, 5.0))
        ]
        deep, pressed = (
            torch.from_numpy(ndimage.gaussian_filter(density.numpy(), mm / step, mode="constant"))
            for mm in (RIM_MM, CLOSING_MM)
        )
        # Low where a core enhances: near its border in a high grade, in a low one just in patches.
        score = CORE_BORDER_MM * self.logits_per_mm * noises[2] + (_logit(deep) if self.grade == "high" else 0.0)
        core = _logit(density) + CORE_BORDER_MM * self.logits_per_mm * noises[1] >= _logit(SEEN_ON_T1CE)
        scores = score[core & (self.cells.brain > 0)]
        edge = float(scores.quantile(self.enhancing)) if len(scores) and self.enhancing else -math.inf
        return torch.stack([*noises[:2], score, pressed]), edge

    def apply(self, shares: dict[str, Tensor], points: Tensor) -> None:
        """Oedema, then the core, of brain; furrows beside it are pressed shut, their fluid giving way to cortex."""
        box = Blocks(points).box(*self.cells.corners_mm(3 * CLOSING_MM))
        if box is None:
            return
        near, places = taken_out(shares, box), points[box]
        fields, edge = self._looks
        outer, border, score, pressed = sample(fields, self.cells.affine, places, outside="zeros")
        replace_by(near, "grey matter", (2.5 * pressed - 0.1).clamp(0, 0.95), ("outer csf",))
        logit, per_mm = _logit(self.cells.at(places)), self.logits_per_mm
        swollen = logit + OEDEMA_BORDER_MM * per_mm * outer
        white, cortex = (
            torch.sigmoid((swollen - _logit(seen)) / (OEDEMA_SOFT_MM * per_mm)) for seen in (SEEN_ON_T2, SEEN_IN_CORTEX)
        )
        replace_by(near, "oedema", 0.95 * white, ("white matter",))
        replace_by(near, "oedema", 0.7 * cortex, ("grey matter", "deep grey matter"))
        soft = SOFT_MM * per_mm
        core = torch.sigmoid((logit + CORE_BORDER_MM * per_mm * border - _logit(SEEN_ON_T1CE)) / soft)
        rim = torch.sigmoid((edge - score) / soft) * (0.85 + 0.15 * torch.tanh(border + outer))
        replace_by(near, "enhancing tumour", core * rim, (*BRAIN, "oedema"))
        # The rim took its part already; of what it left, the core takes what makes them together as much as core.
        rest = core * (1 - rim) / (1 - core * rim).clamp(min=1e-6)
        fluid = 1.0 if self.grade == "high" else SOLID + 0.08 * torch.tanh(border)
        replace_by(near, "tumour core", rest * fluid, (*BRAIN, "oedema"))
        put_back(shares, near, box)

    def finding(self) -> dict[str, object]:
        """Kind, grade, side, lobe and place where it began, and how it grew.

        Volumes are of brain at a density of 0.16 (all) and 0.8 (core) before what grew pushes the brain aside.
        """
        return {
            "kind": "glioma",
            "grade": self.grade,
            "side": "right" if self.origin_mm[0] > 0 else "left",
            "lobe": LOBES[int(lobe_at(torch.tensor(self.origin_mm)))],
            "origin_mm": self.origin_mm,
            "volume_ml": round(self.cells.volume_ml(SEEN_ON_T2), 2),
            "core_ml": round(self.cells.volume_ml(SEEN_ON_T1CE), 2),
            "days": round(self.cells.days, 1),
            "diffusivity": self.diffusivity,
            "proliferation": self.proliferation,
        }


def draw_glioma(seed: int, grade: str | None = None, spacing_mm: int = 2) -> Glioma:
    """A plausible glioma of one hemisphere, in white matter, neither brain stem nor cerebellum.

    grade: "high" or "low"; without one, high in four of five, as in BraTS 2020. Volumes are log-normal, 20 to 180 ml
    (high) and 15 to 120 ml (low) of everything that T2 shows. Fronts advance by about 25 mm/year (high; the numbers of
    Swanson et al. 2000 give 29) and 2 mm/year (low; Mandonnet et al., Ann. Neurol. 53, 2003), the width of the front
    is 35 to 60 % (low: 15 to 35 %) of the radius; D and rho follow from these. All other numbers are round.
    Raises ValueError for another grade, or a spacing that the head model does not have.
    """
    chance = generator_for(whole(seed, "seed", 0), "draw glioma")
    shares = torch.rand(7, generator=chance).tolist()
    size, pace = torch.randn(2, generator=chance).tolist()
    if grade is None:
        grade = "high" if shares[0] < 0.8 else "low"
    if grade not in GRADES:
        raise ValueError(f"grade is {grade!r}, expected high or low")
    high = grade == "high"
    middle, least, most = (70, 20, 180) if high else (45, 15, 120)
    volume = min(max(middle * math.exp(0.55 * size), least), most)
    radius = (0.75 * 1000 * volume / math.pi) ** (1 / 3)
    length = radius * ((0.35 + 0.25 * shares[1]) if high else (0.15 + 0.2 * shares[1])) / FRONT
    speed = (25 if high else 2) * math.exp(0.3 * pace)
    lobe = next(name for name, most in zip(LOBES, np.cumsum(LOBE_SHARES), strict=True) if shares[6] < most)
    places = _origins_mm(lobe)
    return Glioma(
        seed,
        grade,
        tuple(places[int(shares[2] * len(places))].tolist()),
        diffusivity=speed * length / 2,
        proliferation=speed / length / 2,
        volume_ml=volume,
        grey_ratio=5 + 5 * shares[3],
        enhancing=0.4 + 0.45 * shares[4] if high else max(0.2 * shares[4] - 0.14, 0.0),
        push_mm=2 + (6 if high else 3.5) * min(volume / 120, 1) * (0.7 + 0.3 * shares[5]),
        spacing_mm=spacing_mm,
    )


def lobe_at(points: Tensor) -> Tensor:
    """The lobe of points (..., 3) of the template by round borders, as an index of `LOBES`."""
    x, y, z = points.unbind(-1)
    temporal = ((z < 2) & (y < 0) & (y > -45)) | ((z < 12) & (x.abs() > 38) & (y > -50))
    occipital = (y < -62) & (z < 35)
    lobe = torch.where(y > -18, LOBES.index("frontal"), LOBES.index("parietal"))
    lobe = torch.where(occipital, LOBES.index("occipital"), lobe)
    return torch.where(temporal, LOBES.index("temporal"), lobe)


@cache
def _origins_mm(lobe: str) -> Tensor:
    """The voxels of the head model of 4 mm that lie in a lobe's white matter, off skull and midline, (N, 3)."""
    model, points = head_model(CONTROL_MM), model_points(CONTROL_MM)
    x, y, z = points.unbind(-1)
    cerebrum = (z > 2) | ((x.abs() > 28) & (y > -40) & (y < 4) & (z > -22))  # not cerebellum, not brain stem
    good = (model.share("white matter") > 0.85) & (model.away_mm < -10) & (x.abs() > 14) & cerebrum
    return points[good & (lobe_at(points) == LOBES.index(lobe))]


def _logit(density: Tensor | float) -> Tensor:
    return torch.as_tensor(density).clamp(1e-6, 1 - 1e-6).logit()
