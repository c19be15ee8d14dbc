"""Everything that decides a segmentation: network, data, loss, training and inference, in one frozen config."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Self

from medlab import nn
from medlab.arguments import as_spacing, number, one_of, whole
from medlab.data.patches import LAWS
from medlab.metrics.losses.region import ABSENT
from medlab.profiles import Profile
from medlab.training.schedules import SHAPES

OPTIMISERS = ("sgd", "adamw")
AUGMENTATIONS = ("flip", "gamma", "noise", "bias")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True)
class Config:
    """A segmentation network and how it is trained and used. Made by `Config.paper` or `Config.for_profile`.

    network: a name of `medlab.nn.NETWORKS`; options: what else it is built with, such as (("width", 8),). channels:
    the sequences that go in, by name. labels: the values in label files, class by class, the background first;
    label_names: what they mean. spacing_mm: of the voxels that the network is trained on.

    patch: voxels of a sub-volume; batch: how many a step; law, least: how they are drawn (`PatchSampler`);
    anywhere: the share of them that is drawn from all positions, also where there is only air. steps:
    updates of the weights. augment: names of `AUGMENTATIONS`. absent: how a class is treated that a sub-volume does
    not hold (`soft_dice_loss`). warm_up: steps in which the learning rate rises from 0. channels_last, compile: other
    ways to the same numbers, up to rounding (`torch.compile` needs a compiler).

    overlap: share of a window that its neighbour covers too; flips: whether predictions are averaged over the mirror
    image. Raises ValueError, naming the field, for what is out of range.
    """

    network: str = "unet3d"
    options: tuple[tuple[str, object], ...] = ()
    channels: tuple[str, ...] = ("T1", "T2")
    labels: tuple[int, ...] = (0, 1, 2, 3)
    label_names: tuple[str, ...] = ("background", "cerebrospinal fluid", "grey matter", "white matter")
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)

    patch: tuple[int, int, int] = (64, 64, 64)
    batch: int = 1
    law: str = "uniform"
    least: float = 0.0
    anywhere: float = 0.0
    augment: tuple[str, ...] = ()

    steps: int = 1000
    optimiser: str = "adamw"
    learning_rate: float = 3e-3
    momentum: float = 0.0
    weight_decay: float = 1e-5
    schedule: str = "cosine"
    warm_up: int = 0
    clip: float | None = None
    dice_weight: float = 1.0
    cross_entropy_weight: float = 1.0
    absent: str = "ignore"
    precision: str = "32-true"
    channels_last: bool = False
    compile: bool = False

    overlap: float = 0.5
    flips: bool = False

    def __post_init__(self) -> None:
        for name in ("options", "channels", "labels", "label_names", "patch", "augment", "spacing_mm"):
            object.__setattr__(self, name, _tuples(getattr(self, name)))
        one_of(self.network, nn.NETWORKS, "network")
        for name, least in (("batch", 1), ("steps", 1), ("warm_up", 0)):
            whole(getattr(self, name), name, least)
        if len(self.patch) != 3:
            raise ValueError(f"patch is {self.patch}, expected three sizes")
        for side in self.patch:
            whole(side, "patch")
        as_spacing(self.spacing_mm, 3, "spacing_mm")
        if not self.channels or len(set(self.channels)) < len(self.channels):
            raise ValueError(f"channels are {self.channels}, expected at least one, each once")
        if len(self.labels) < 2 or len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels are {self.labels}, expected at least two, each once")
        for value in self.labels:
            whole(value, "labels", 0, 255)
        if len(self.label_names) != len(self.labels):
            raise ValueError(f"label_names are {self.label_names}, expected one for each of {len(self.labels)} labels")
        for value, choices, name in (
            (self.law, LAWS, "law"),
            (self.optimiser, OPTIMISERS, "optimiser"),
            (self.schedule, SHAPES, "schedule"),
            (self.absent, ABSENT, "absent"),
            (self.precision, PRECISIONS, "precision"),
            *((one, AUGMENTATIONS, "augment") for one in self.augment),
        ):
            one_of(value, choices, name)
        for name, most in (("least", 1), ("anywhere", 1), ("learning_rate", 100), ("momentum", 1), ("weight_decay", 1)):
            number(getattr(self, name), name, 0, most)
        for name in ("dice_weight", "cross_entropy_weight"):
            number(getattr(self, name), name, 0)
        if self.clip is not None:
            number(self.clip, "clip", 0, above=True)
        if number(self.overlap, "overlap", 0, 1) == 1:
            raise ValueError("overlap is 1, expected below 1")

    @property
    def classes(self) -> int:
        """How many classes the network tells apart, the background among them."""
        return len(self.labels)

    @classmethod
    def paper(cls, network: str = "unet3d", dataset: str = "iseg") -> Self:
        """The thesis's numbers for one of its models (chapter 6, table 1 and section 6.1).

        dataset: "iseg" or "mrbrains". What the thesis leaves open is chosen here, each with a comment.
        Raises ValueError for another network or dataset.
        """
        recipe = RECIPES[one_of(dataset, tuple(RECIPES), "dataset")]
        one_of(network, tuple(PAPER_CHANNELS), "network")
        channels = recipe.channels[: PAPER_CHANNELS[network]]
        if network == "early_fusion" and dataset == "mrbrains":
            channels = recipe.channels  # the three-stream model, for MRBrainS only
        dense = network in DENSE
        return cls(
            network=network,
            options=tuple(PAPER_DROPOUT[network].items()),
            channels=channels,
            spacing_mm=recipe.spacing_mm,
            patch=(28, 28, 28) if dense else recipe.patch,
            batch=1,
            # 2,000 (500) sub-volumes an epoch; epochs "varied from 120 to 400": the fewest.
            steps=120 * (2000 if dense else 500),
            optimiser="sgd",
            learning_rate=1e-3,
            momentum=0.0,  # not stated
            weight_decay=1e-8,
            schedule="constant",
            # The thesis trains with soft Dice alone; an absent class then counts as an error (facts of the public
            # code). Ours leaves it out of the mean.
            cross_entropy_weight=0.0,
            absent="ignore",
            # Windows that overlap, where the thesis sets them side by side.
            overlap=0.5,
        )

    @classmethod
    def for_profile(cls, profile: Profile, network: str = "unet3d", dataset: str = "iseg") -> Self:
        """The same design at a profile's size.

        At `gpu` the sub-volumes, spacing and weight decay are the thesis's. Everywhere the loss is Dice and cross
        entropy and the optimiser AdamW with a cosine schedule, a deviation: plain SGD at 1e-3 needs the thesis's tens
        of thousands of steps, and a laptop has hundreds.
        """
        recipe = RECIPES[one_of(dataset, tuple(RECIPES), "dataset")]
        one_of(network, nn.NETWORKS, "network")
        count = 1 if network in ("vnet", "vnet_light") else len(recipe.channels)
        base = cls(network=network, channels=recipe.channels[:count], law="uniform", schedule="cosine")
        if profile.name == "gpu":
            dense = network in DENSE
            return replace(
                base,
                spacing_mm=recipe.spacing_mm,
                patch=(32, 32, 32) if dense else recipe.patch,
                batch=8 if dense else 2,
                anywhere=0.1,
                steps=10_000,
                learning_rate=1e-2,
                warm_up=200,
                clip=12.0,
                weight_decay=1e-8,
                augment=("flip", "gamma", "noise"),
                precision="bf16-mixed",
            )
        if profile.name == "cpu":
            return replace(
                base,
                spacing_mm=recipe.cpu_spacing_mm,
                patch=recipe.cpu_patch,
                anywhere=0.1,
                steps=300,
                learning_rate=1e-2,
                warm_up=20,
                clip=12.0,
                augment=("flip", "gamma", "noise"),
                precision="bf16-mixed",
                channels_last=True,
            )
        return replace(base, spacing_mm=recipe.ci_spacing_mm, patch=recipe.ci_patch, steps=4)

    @property
    def network_options(self) -> dict[str, object]:
        """What the network is built with besides channels and classes."""
        return dict(self.options)

    def as_dict(self) -> dict[str, object]:
        """The config as JSON keeps it."""
        return {**asdict(self), "options": dict(self.options)}

    @classmethod
    def from_dict(cls, found: Mapping[str, object]) -> Self:
        """The config that `as_dict` gave. Raises ValueError where a field is unknown."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(found) - known):
            raise ValueError(f"config has the field {unknown[0]!r}, expected one of {', '.join(sorted(known))}")
        given = dict(found)
        if isinstance(given.get("options"), Mapping):
            given["options"] = tuple(given["options"].items())
        return cls(**given)


@dataclass(frozen=True)
class Recipe:
    """What a dataset gives a segmentation: sequences, spacings and sub-volumes."""

    channels: tuple[str, ...]
    spacing_mm: tuple[float, float, float]
    patch: tuple[int, int, int]
    cpu_spacing_mm: tuple[float, float, float]
    cpu_patch: tuple[int, int, int]
    ci_spacing_mm: tuple[float, float, float]
    ci_patch: tuple[int, int, int]


RECIPES = {
    # Axes X, Y, Z run to the right, the front and the head; the thesis names sizes in the order of the files.
    "iseg": Recipe(
        ("T1", "T2"), (1.0, 1.0, 1.0), (64, 128, 128), (1.5, 1.5, 1.5), (48, 48, 48), (6.0, 6.0, 6.0), (16, 16, 16)
    ),
    "mrbrains": Recipe(
        ("T1", "T1-IR", "FLAIR"),
        (0.958, 0.958, 3.0),
        (128, 128, 32),
        (1.5, 1.5, 3.0),
        (48, 48, 32),
        (6.0, 6.0, 6.0),
        (16, 16, 16),
    ),
}
# Sequences of each model of the thesis (chapter 6, table 1).
PAPER_CHANNELS = {
    "vnet": 1,
    "vnet_light": 1,
    "unet3d": 3,
    "densenet3d": 3,
    "late_fusion": 2,
    "early_fusion": 2,
}
# Not in the thesis's text, but in its public code.
_DENSE_DROPOUT = {"dropout": 0.1, "last_dropout": 0.5}
PAPER_DROPOUT = {
    "vnet": {"dropout": 0.5},
    "vnet_light": {"dropout": 0.5},
    "unet3d": {"dropout": 0.6},
    "densenet3d": _DENSE_DROPOUT,
    "late_fusion": _DENSE_DROPOUT,
    "early_fusion": _DENSE_DROPOUT,
}
DENSE = ("densenet3d", "skip_densenet3d", "late_fusion", "early_fusion", "hyperdense")


def _tuples(value: object) -> object:
    """Lists become tuples, also inside: so a config read from JSON equals the one that was written."""
    if isinstance(value, list | tuple):
        return tuple(_tuples(one) for one in value)
    return value
