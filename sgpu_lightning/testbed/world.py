"""A toy world: people, facts about them, and a corpus that mentions some people far more often than others.

A model trained on the corpus is uncertain where the corpus is: most people are rarely mentioned (Zipf's law), one fact
in seven is never stated, and one in ten is contradicted by a rumour. No other source of errors is built in.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.tasks.question import Question
from sgpu_lightning.testbed.lexicon import FIRST_NAMES, RELATIONS, SURNAMES, Relation

ZIPF_EXPONENT = 1.1
RUMOUR_RATE = 0.1
RUMOUR_PROPORTIONS = (0.2, 0.9)


@dataclass(frozen=True, slots=True)
class Person:
    """A person that the corpus mentions.

    Args:
        name: First name and surname; the surname is unique.
        rank: Rank by frequency of mention; 1 is the most mentioned person.
    """

    name: str
    rank: int

    @property
    def exposure(self) -> float:
        """Frequency of mention relative to the most mentioned person (1.0), by Zipf's law."""
        return float(self.rank**-ZIPF_EXPONENT)


@dataclass(frozen=True, slots=True)
class Fact:
    """A true fact about a person, and possibly a false rumour that contradicts it.

    Args:
        person: The person it is about.
        relation: The kind of fact.
        value: The true value.
        rumour: A false value that some mentions give; None if all mentions are true.
        rumour_proportion: Proportion of the fact's mentions that give the rumour, in [0, 1); above one half, most
            mentions are false.
    """

    person: Person
    relation: Relation
    value: str
    rumour: str | None
    rumour_proportion: float

    @property
    def id(self) -> str:
        """Id, unique within a world, for example ``keller-birthplace``."""
        return f"{self.person.name.split()[-1].lower()}-{self.relation.name}"


@dataclass(frozen=True, slots=True)
class World:
    """The facts about all people.

    Args:
        facts: One fact for each person and relation.
        seed: Random seed that the world was drawn with.
    """

    facts: tuple[Fact, ...]
    seed: int


def make_world(seed: int = 0) -> World:
    """Draw the people and their facts.

    Args:
        seed: Random seed; the same seed gives the same world.
    """
    rng = random.Random(f"world {seed}")
    surnames = rng.sample(SURNAMES, len(SURNAMES))
    people = [Person(f"{rng.choice(FIRST_NAMES)} {surname}", rank) for rank, surname in enumerate(surnames, start=1)]
    return World(tuple(_draw_fact(rng, *pair) for pair in itertools.product(people, RELATIONS)), seed)


def _draw_fact(rng: random.Random, person: Person, relation: Relation) -> Fact:
    value, rumour = rng.sample(relation.values, 2)
    if rng.random() >= RUMOUR_RATE:
        return Fact(person, relation, value, None, 0.0)
    return Fact(person, relation, value, rumour, rng.uniform(*RUMOUR_PROPORTIONS))


def questions(world: World, count: int | None = None) -> list[Question]:
    """Ask for each fact once, in shuffled order and in a randomly drawn wording.

    ``gold`` holds the bare value, then its other phrasings. The group is the person: all facts about a person are
    mentioned equally often, so a model's accuracy on one fact predicts its accuracy on the others, and splitting them
    between training and test sets would leak difficulty.

    Args:
        world: The world that is asked about.
        count: Number of questions; None for one about every fact.

    Raises:
        SGPUError: If ``count`` is not between 1 and the number of facts.
    """
    available = len(world.facts)
    count = available if count is None else count
    if not 1 <= count <= available:
        raise SGPUError(f"count: expected 1 to {available} questions, got {count}")
    rng = random.Random(f"questions {world.seed}")
    return [_ask(rng, fact) for fact in rng.sample(world.facts, available)][:count]


def _ask(rng: random.Random, fact: Fact) -> Question:
    return Question(
        id=fact.id,
        question=rng.choice(fact.relation.questions).format(name=fact.person.name),
        gold=fact.relation.phrasings(fact.value),
        group=fact.person.name,
    )


def write_questions(path: Path, *, count: int | None = None, seed: int = 0) -> Path:
    """Write the world's questions as JSON Lines with the keys ``id``, ``question``, ``gold`` and ``group``.

    Args:
        path: The file to write; missing parent folders are created.
        count: Number of questions, at most 800; None for all.
        seed: Random seed of the world. A model knows the world of the seed that it was built with.

    Returns:
        The path.

    Raises:
        SGPUError: If ``count`` is not between 1 and the number of facts.
    """
    asked = questions(make_world(seed), count)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(_json_lines(asked)), encoding="utf-8")
    return path


def _json_lines(asked: Iterable[Question]) -> Iterable[str]:
    for item in asked:
        yield json.dumps({"id": item.id, "question": item.question, "gold": item.gold, "group": item.group}) + "\n"
