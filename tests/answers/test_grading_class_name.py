from __future__ import annotations

import pytest

from sgpu_lightning.answers.grading import ClassNameGrader, class_name
from sgpu_lightning.answers.grading.class_name import names_class, rivals_of
from tests.answers.helpers import record


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("lion", ["lion"], True),
        ("A photo of a lion.", ["lion"], True),
        ("Lions", ["lion"], True),
        ("dandelion", ["lion"], False),
        ("lawnmower", ["lawn_mower"], True),
        ("a lawn-mower", ["lawn_mower"], True),
        ("lawn mowers", ["lawnmower"], True),
        ("mower of a lawn", ["lawn mower"], False),
        ("mice", ["mouse"], True),
        ("wolves", ["wolf"], True),
        ("butterflies", ["butterfly"], True),
        ("foxes", ["fox"], True),
        ("bus", ["bus"], True),
        ("buses", ["bus"], True),
        ("boss", ["bos"], False),
        ("sofa", ["couch", "sofa"], True),
        ("Tinca tinca", ["tench", "Tinca tinca"], True),
        ("jack o'lantern", ["jack-o'-lantern"], True),
        ("", ["lion"], False),
        ("lion", [""], False),
        ("lion", [], False),
    ],
)
def test_names_class(answer, gold, right):
    assert names_class(answer, gold) is right
    assert class_name(answer, gold) is right


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("a sea lion", ["lion"], False),
        ("sealion", ["lion"], False),
        ("a sea lion beside a lion", ["lion"], True),
        ("a lion", ["lion"], True),
        ("sea lions", ["sea lion"], True),
        ("a lion", ["sea lion"], False),
    ],
)
def test_the_longest_name_wins(answer, gold, right):
    assert names_class(answer, gold, rivals=["sea lion"]) is right


def test_rivals_are_the_longer_names_of_other_classes():
    others = ["sea lion", "mountain-lion", "dandelion", "Lions", "tiger", "sea lion"]
    assert rivals_of(["lion", "Panthera leo"], others) == ("sea lion", "mountain-lion")
    assert rivals_of(["crane"], ["crane"]) == ()


def test_the_grader_reads_a_record_s_rivals():
    grader = ClassNameGrader()
    sets = [
        record("a", greedy="sea lion", gold=("lion",), meta={"rivals": ["sea lion"]}),
        record("b", greedy="sea lion", gold=("lion",)),
        record("c", greedy="lion", gold=("lion",), meta={"rivals": "nonsense"}),
        record("d", greedy="lion"),
    ]
    assert [verdict.correct for verdict in grader.grade(sets)] == [False, True, True, None]
