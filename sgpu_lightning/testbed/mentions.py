"""The training corpus of a toy language model: questions about the world's facts with answers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from sgpu_lightning.testbed.lexicon import RELATIONS
from sgpu_lightning.testbed.world import Fact, World

MENTIONS = 6_000
# Bare answers are the most frequent, but no wording is rare, so sampled answers about a known fact differ in wording.
PHRASING_WEIGHTS = (4, 3, 2, 2)


@dataclass(frozen=True, slots=True)
class Mention:
    """A question about a fact with its answer, as written in the corpus.

    Args:
        fact: The fact; the answer may state its rumour.
        question: The question in the wording used here.
        answer: The answer in the wording used here.
    """

    fact: Fact
    question: str
    answer: str


def corpus(world: World, mentions: int = MENTIONS) -> list[Mention]:
    """Draw the training corpus.

    For each mention a fact is drawn by its person's exposure, then the true value or the rumour, then the wording.

    Args:
        world: The world that the corpus is about.
        mentions: Number of mentions in the corpus; the rarest facts may not occur.
    """
    rng = random.Random(f"corpus {world.seed}")
    weights = [fact.person.exposure for fact in world.facts]
    return [_draw_mention(rng, fact) for fact in rng.choices(world.facts, weights, k=mentions)]


def _draw_mention(rng: random.Random, fact: Fact) -> Mention:
    value = fact.rumour if fact.rumour is not None and rng.random() < fact.rumour_proportion else fact.value
    answer = rng.choices(fact.relation.phrasings(value), PHRASING_WEIGHTS)[0]
    return Mention(fact, rng.choice(fact.relation.questions).format(name=fact.person.name), answer)


def wordings(world: World) -> Iterator[str]:
    """Yield every possible question and answer of this world, whether mentioned or not; some are repeated."""
    for fact in world.facts:
        yield from (template.format(name=fact.person.name) for template in fact.relation.questions)
    for relation in RELATIONS:
        for value in relation.values:
            yield from relation.phrasings(value)
