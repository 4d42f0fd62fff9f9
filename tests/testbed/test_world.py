from __future__ import annotations

from collections import Counter
from statistics import mean

import pytest

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.tasks.question_file import read_questions
from sgpu_lightning.testbed import corpus, make_world, meaning, questions, write_questions
from sgpu_lightning.testbed.lexicon import RELATIONS

WORLD = make_world()


def mentions_per_person(world):
    """Mentions of each person, the most famous first."""
    counts = Counter(mention.fact.person.rank for mention in corpus(world))
    return [counts[rank] for rank in range(1, len(world.facts) // len(RELATIONS) + 1)]


def test_one_seed_gives_one_world_and_one_corpus():
    assert make_world(3) == make_world(3)
    assert corpus(make_world(3)) == corpus(make_world(3))
    assert questions(make_world(3)) == questions(make_world(3))


def test_another_seed_gives_other_people_and_other_facts():
    other = make_world(1)
    assert [fact.person.name for fact in other.facts] != [fact.person.name for fact in WORLD.facts]
    assert [fact.value for fact in other.facts] != [fact.value for fact in WORLD.facts]


def test_mentions_fall_with_rank_as_zipf_says():
    counts = mentions_per_person(WORLD)
    weights = [rank**-1.1 for rank in range(1, len(counts) + 1)]
    for first, last in ((0, 1), (1, 10), (10, 40), (40, 160)):
        expected = sum(counts) * sum(weights[first:last]) / sum(weights)
        assert sum(counts[first:last]) == pytest.approx(expected, rel=0.1)


def test_rare_facts_are_mentioned_once_or_not_at_all():
    counts = Counter(mention.fact.id for mention in corpus(WORLD))
    assert sum(counts[fact.id] == 0 for fact in WORLD.facts) > 50
    assert mean(counts[fact.id] for fact in WORLD.facts if fact.person.rank > 120) < 2


def test_only_a_rumour_contradicts_a_fact():
    for mention in corpus(WORLD):
        assert meaning(mention.answer) in (mention.fact.value, mention.fact.rumour)


def test_a_rumour_is_told_as_often_as_its_share_says():
    fact = max((fact for fact in WORLD.facts if fact.rumour), key=lambda fact: fact.person.exposure)
    told = [meaning(mention.answer) == fact.rumour for mention in corpus(WORLD) if mention.fact == fact]
    assert fact.rumour != fact.value
    assert mean(told) == pytest.approx(fact.rumour_proportion, abs=3 * (0.25 / len(told)) ** 0.5)


def test_known_facts_are_worded_in_every_way():
    wordings = {(m.fact.id, m.answer) for m in corpus(WORLD) if m.fact.person.rank == 1 and not m.fact.rumour}
    per_fact = Counter(fact_id for fact_id, _ in wordings)
    assert set(per_fact.values()) == {4}


def test_every_fact_is_asked_once_under_its_person():
    asked = questions(WORLD)
    facts = {fact.id: fact for fact in WORLD.facts}
    assert sorted(question.id for question in asked) == sorted(facts)
    assert len(asked) == 800
    assert all(question.group == facts[question.id].person.name for question in asked)
    assert all(question.group in question.question for question in asked)


def test_gold_covers_each_phrasing_of_the_right_value_and_none_of_another():
    facts = {fact.id: fact for fact in WORLD.facts}
    for question in questions(WORLD):
        fact = facts[question.id]
        assert question.gold[0] == fact.value
        assert {template.count("{value}") for template in fact.relation.answers} == {1}
        assert len(set(question.gold)) == len(fact.relation.answers)
        assert {meaning(answer) for answer in question.gold} == {fact.value}


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("Paris", "Paris"),
        ("the city of Paris", "Paris"),
        (" it is an architect ", "architect"),
        ("it is a architect", None),
        ("the city of trumpet", None),
        ("", None),
    ],
)
def test_meaning_reads_the_value_off_any_phrasing(answer, value):
    assert meaning(answer) == value


def test_written_questions_are_read_as_a_task(tmp_path):
    path = write_questions(tmp_path / "new" / "questions.jsonl", seed=2)
    assert read_questions(path) == questions(make_world(2))


def test_count_takes_the_first_questions_of_many_people(tmp_path):
    asked = read_questions(write_questions(tmp_path / "questions.jsonl", count=60))
    assert asked == questions(WORLD)[:60]
    assert len({question.group for question in asked}) > 30


@pytest.mark.parametrize("count", [0, -1, 801])
def test_an_impossible_count_is_refused(tmp_path, count):
    with pytest.raises(SGPUError, match=f"count: expected 1 to 800 questions, got {count}"):
        write_questions(tmp_path / "questions.jsonl", count=count)
