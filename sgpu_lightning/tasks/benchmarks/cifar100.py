"""CIFAR-100 (Krizhevsky 2009): 10,000 photographs of 32 x 32 pixels in 100 classes, answered as text.

Rows: img, fine_label, coarse_label. The names of the classes are the dataset's own, with added synonyms.
"""

from __future__ import annotations

from sgpu_lightning.tasks.benchmark import Benchmark, add_benchmark
from sgpu_lightning.tasks.classification import TEMPLATE, class_question
from sgpu_lightning.tasks.question import Question
from sgpu_lightning.tasks.source_rows import Dataset, Row

_SYNONYMS: dict[str, tuple[str, ...]] = {
    "aquarium_fish": ("goldfish", "tropical fish"),
    "baby": ("infant",),
    "bicycle": ("bike",),
    "can": ("tin can",),
    "cattle": ("cow", "bull", "ox"),
    "chimpanzee": ("chimp",),
    "cockroach": ("roach",),
    "couch": ("sofa",),
    "cra": ("crab",),  # the dataset's own spelling
    "cup": ("mug",),
    "flatfish": ("flounder", "halibut", "sole"),
    "maple_tree": ("maple",),
    "motorcycle": ("motorbike",),
    "oak_tree": ("oak",),
    "palm_tree": ("palm",),
    "pickup_truck": ("pickup",),
    "pine_tree": ("pine",),
    "plain": ("grassland", "prairie", "field"),
    "plate": ("dish",),
    "possum": ("opossum",),
    "ray": ("stingray", "manta ray"),
    "road": ("street", "highway"),
    "sea": ("ocean",),
    "seal": ("sea lion",),
    "streetcar": ("tram", "trolley"),
    "sweet_pepper": ("bell pepper",),
    "telephone": ("phone",),
    "television": ("TV",),
    "turtle": ("tortoise",),
    "wardrobe": ("closet", "armoire"),
    "whale": ("orca",),
    "willow_tree": ("willow",),
}


def _names(name: str) -> tuple[str, ...]:
    return (name.replace("_", " "), *_SYNONYMS.get(name, ()))


def _question(row: Row) -> Question:
    return class_question(row, "fine_label", _names)


CIFAR100 = add_benchmark(
    Benchmark(
        name="cifar100",
        dataset=Dataset(
            hub_id="uoft-cs/cifar100",
            revision="aadb3af77e9048adbea6b47c21a81e47dd092ae5",
            config="cifar100",
            split="test",
            columns=("img", "fine_label"),
            image="img",
        ),
        question=_question,
        grader="class_name",
        template=TEMPLATE,
        position=7,
    )
)
