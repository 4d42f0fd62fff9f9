"""ImageNet-1k (Russakovsky et al., arXiv 1409.0575): the 50,000 validation photographs in 1,000 classes, as text.

Rows: image, label. The data is gated: its licence must be accepted on the hub. The name of a label lists the class's
synonyms from WordNet, separated by commas ("tench, Tinca tinca"); all of them are gold answers. In the test split every
label is -1.
"""

from __future__ import annotations

import re

from sgpu_lightning.tasks.benchmark import Benchmark, add_benchmark
from sgpu_lightning.tasks.classification import TEMPLATE, class_question
from sgpu_lightning.tasks.question import Question
from sgpu_lightning.tasks.source_rows import Dataset, Row

_NUMBERED = re.compile(r"(?<=[a-z])\d+\Z")  # "crane2" is the machine, numbered because labels must differ


def _names(label: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_NUMBERED.sub("", name.strip()) for name in label.split(",") if name.strip()))


def _question(row: Row) -> Question:
    return class_question(row, "label", _names)


IMAGENET = add_benchmark(
    Benchmark(
        name="imagenet",
        dataset=Dataset(
            hub_id="ILSVRC/imagenet-1k",
            revision="49e2ee26f3810fb5a7536bbf732a7b07389a47b5",
            split="validation",
            columns=("image", "label"),
            image="image",
        ),
        question=_question,
        grader="class_name",
        template=TEMPLATE,
        position=8,
    )
)
