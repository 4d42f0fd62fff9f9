"""Batches of similar length, as large as memory allows; a question that cannot be asked does not stop the others."""

from __future__ import annotations

import pytest
import torch

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.errors import SamplingError
from sgpu_lightning.sampling.local.batching import WINDOW, Batches
from sgpu_lightning.sampling.local.huggingface import HuggingFaceSampler
from sgpu_lightning.sampling.outcome import Failed, Sampled
from sgpu_lightning.sampling.sampling_settings import SamplingSettings
from sgpu_lightning.tasks.question import Question
from tests.sampling.tiny import PLAIN, make_llama, make_questions, make_tokenizer


class Model:
    """Answers batches, with room for so many rows and a dislike of some questions."""

    def __init__(self, room=100, refused=(), weights=None):
        self.room, self.refused, self.weights, self.batches = room, refused, weights or {}, []

    def __call__(self, batch):
        self.batches.append([one.id for one in batch])
        for one in batch:
            if one.id in self.refused:
                raise SamplingError(f"question '{one.id}': bad image")
        if sum(self.weights.get(one.id, 1) for one in batch) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return [Sampled(AnswerSet(id=one.id, answers=(f"to {one.id}", "x")), {}) for one in batch]


def questions(count, **options):
    return [Question(id=f"q{i}", question="w" * (1 + 7 * i % 11), **options) for i in range(count)]


def text_length(question):
    return len(question.question) + len(question.context or "")


def split(outcomes):
    failed = {one.question.id: one.reason for one in outcomes if isinstance(one, Failed)}
    return {one.record.id: one.record.answers[0] for one in outcomes if isinstance(one, Sampled)}, failed


@pytest.mark.parametrize("count", [0, 1, 7, 8, WINDOW + 3])
def test_every_question_has_its_own_answers(count):
    outcomes = list(Batches(Model(), 8, text_length).outcomes(questions(count)))
    assert split(outcomes) == ({f"q{i}": f"to q{i}" for i in range(count)}, {})
    assert len(outcomes) == count


def test_batches_are_full_and_of_similar_length():
    model, asked = Model(), questions(64)
    list(Batches(model, 8, text_length).outcomes(asked))
    length = {one.id: len(one.question) for one in asked}
    assert [len(batch) for batch in model.batches] == [8] * 8
    flat = [length[name] for batch in model.batches for name in batch]
    assert flat == sorted(flat, reverse=True)


def test_the_context_counts_towards_the_length():
    model = Model()
    asked = [Question(id="short", question="w" * 9), Question(id="long", question="w", context="c" * 99)]
    list(Batches(model, 1, text_length).outcomes(asked))
    assert model.batches == [["long"], ["short"]]


def test_questions_with_and_without_image_are_never_in_one_batch():
    model = Model()
    mixed = [Question(id=f"{i}", question="w", image="a.png" if i % 2 else None) for i in range(10)]
    list(Batches(model, 4, text_length).outcomes(mixed))
    assert all(len({int(name) % 2 for name in batch}) == 1 for batch in model.batches)
    assert sorted(name for batch in model.batches for name in batch) == sorted(one.id for one in mixed)


def test_only_a_window_is_sorted_so_that_the_first_answers_come_early():
    asked = questions(3 * WINDOW)
    first = [one.record.id for one in list(Batches(Model(), 8, text_length).outcomes(asked))[:WINDOW]]
    assert sorted(first) == sorted(one.id for one in asked[:WINDOW])


def test_batches_stay_smaller_once_memory_ran_out():
    model = Model(room=3)
    batches = Batches(model, 16, text_length)
    with pytest.warns(UserWarning, match="memory ran out with 16 questions at a time: continuing with 2"):
        outcomes = list(batches.outcomes(questions(40)))
    assert split(outcomes)[0] == {f"q{i}": f"to q{i}" for i in range(40)}
    assert [len(batch) for batch in model.batches] == [16, 8, 4] + [2] * 20
    assert batches.size == 2


def test_a_question_that_does_not_fit_alone_does_not_affect_the_others():
    model = Model(room=8, weights={"q3": 9})
    batches = Batches(model, 8, text_length)
    answered, failed = split(list(batches.outcomes(questions(24))))
    assert set(answered) == {f"q{i}" for i in range(24)} - {"q3"}
    assert list(failed) == ["q3"]
    assert "question 'q3': its rows do not fit in memory, even alone" in failed["q3"]
    assert "lower num_answers" in failed["q3"]


def test_a_question_that_does_not_fit_is_named_at_batch_size_one_too():
    _, failed = split(list(Batches(Model(room=0), 1, text_length).outcomes(questions(1))))
    assert "CUDA out of memory" in failed["q0"]


def test_running_out_of_cpu_memory_reduces_the_batch_too():
    def sample(batch):
        torch.empty(2**60 if len(batch) > 2 else 1, dtype=torch.uint8)
        return Model()(batch)

    with pytest.warns(UserWarning, match="memory ran out with 8 questions at a time: continuing with 2"):
        assert len(list(Batches(sample, 8, text_length).outcomes(questions(9)))) == 9


def test_other_errors_of_the_model_are_not_mistaken_for_memory_errors():
    def sample(batch):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        list(Batches(sample, 8, text_length).outcomes(questions(3)))


@pytest.mark.parametrize("refused", [{"q0"}, {"q7"}, {"q2", "q3", "q11"}, {f"q{i}" for i in range(20)}])
@pytest.mark.parametrize("room", [100, 3])
@pytest.mark.filterwarnings("ignore:memory ran out")
def test_questions_that_cannot_be_asked_fail_alone_with_their_reason(refused, room):
    answered, failed = split(list(Batches(Model(room, refused), 8, text_length).outcomes(questions(20))))
    assert failed == {name: f"question '{name}': bad image" for name in refused}
    assert answered == {f"q{i}": f"to q{i}" for i in range(20) if f"q{i}" not in refused}


@pytest.mark.parametrize("size", [0, -3])
def test_a_batch_size_below_one_is_refused(size):
    with pytest.raises(SamplingError, match=f"batch_size: expected at least 1, got {size}"):
        Batches(Model(), size, text_length)


class TestHuggingFaceSampler:
    @pytest.fixture(scope="class")
    def sampler(self):
        settings = SamplingSettings(num_answers=3, max_new_tokens=4)
        return HuggingFaceSampler(make_llama(), make_tokenizer(), settings, prompt=PLAIN, batch_size=3)

    def test_answers_are_those_of_each_question_alone(self, sampler):
        asked = make_questions(8)
        given = {one.record.id: one for one in sampler.answer(asked)}
        for question in asked:
            (alone,) = sampler.sample([question])
            assert given[question.id].record.answers == alone.record.answers
            for layer in sampler.layers:
                torch.testing.assert_close(given[question.id].vectors[layer], alone.vectors[layer])

    def test_a_prompt_longer_than_the_context_fails_alone(self, sampler):
        asked = make_questions(6)
        asked[2] = Question(id="long", question=" ".join(["w5"] * 200))
        answered, failed = split(list(sampler.answer(asked)))
        assert len(answered) == 5
        assert "question 'long': expected at most 128 tokens" in failed["long"]

    def test_running_out_of_memory_within_the_model_changes_no_answer(self, sampler, monkeypatch):
        asked = make_questions(6)
        expected = {one.record.id: one.record.answers for one in sampler.answer(asked)}
        forward = sampler.model.model.layers[1].forward

        def short_of_memory(states, *args, **keys):
            if len(states) > 4:  # the rows of one question
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return forward(states, *args, **keys)

        monkeypatch.setattr(sampler.model.model.layers[1], "forward", short_of_memory)
        with pytest.warns(UserWarning, match="continuing with 1"):
            assert {one.record.id: one.record.answers for one in sampler.answer(asked)} == expected
