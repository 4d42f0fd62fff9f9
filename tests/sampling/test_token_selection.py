import numpy as np
import pytest
import torch
from scipy import stats

from sgpu_lightning.sampling import HuggingFaceSampler, SamplingSettings
from sgpu_lightning.sampling.local.row_trace import RowTrace
from sgpu_lightning.sampling.local.token_processor import SelectingProcessor
from sgpu_lightning.sampling.local.token_selector import uniform_draws
from sgpu_lightning.tasks.question import Question
from tests.sampling.tiny import PLAIN, VOCABULARY, make_llama, make_tokenizer, prompt_ids, word_ids


def first_tokens(model, settings, questions):
    sampler = HuggingFaceSampler(model, make_tokenizer(), settings, layers=[], prompt=PLAIN)
    texts = [text for sampled in sampler.sample(questions) for text in sampled.record.answers]
    return np.bincount([word_ids(text)[0] for text in texts], minlength=VOCABULARY)


def expected_probabilities(model, question, temperature):
    with torch.no_grad():
        logits = model(torch.tensor([prompt_ids(question)])).logits[0, -1].double()
    return (logits / temperature).softmax(dim=-1)


def chi_square_p(counts, probabilities):
    expected = probabilities.numpy() * counts.sum()
    common = expected >= 5
    observed = np.append(counts[common], counts[~common].sum())
    expected = np.append(expected[common], expected[~common].sum())
    keep = expected > 1e-9
    return stats.chisquare(observed[keep], expected[keep] / expected[keep].sum() * observed[keep].sum()).pvalue


QUESTIONS = [Question(id=str(i), question="w7 w8 w9") for i in range(40)]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_follow_the_models_distribution_at_the_temperature(temperature):
    model = make_llama()
    settings = SamplingSettings(num_answers=50, max_new_tokens=1, temperature=temperature)
    counts = first_tokens(model, settings, QUESTIONS)
    probabilities = expected_probabilities(model, QUESTIONS[0], temperature)
    assert (probabilities > 0.01).sum() >= 3
    assert chi_square_p(counts, probabilities) > 0.01
    # The test can tell a wrong temperature from the right one.
    assert chi_square_p(counts, expected_probabilities(model, QUESTIONS[0], temperature * 1.3)) < 1e-4


@pytest.mark.parametrize("top_k", [1, 4])
def test_top_k_keeps_only_the_k_most_likely_tokens(top_k):
    model = make_llama()
    counts = first_tokens(model, SamplingSettings(num_answers=50, max_new_tokens=1, top_k=top_k), QUESTIONS)
    probabilities = expected_probabilities(model, QUESTIONS[0], 1.0)
    kept = torch.zeros_like(probabilities).index_fill(0, probabilities.topk(top_k).indices, 1.0)
    assert set(np.flatnonzero(counts)) == set(kept.nonzero().flatten().tolist())
    if top_k > 1:
        assert chi_square_p(counts, kept * probabilities) > 0.01


def test_top_p_keeps_the_smallest_set_of_that_probability():
    model = make_llama()
    counts = first_tokens(model, SamplingSettings(num_answers=50, max_new_tokens=1, top_p=0.5), QUESTIONS)
    ordered = expected_probabilities(model, QUESTIONS[0], 1.0).sort(descending=True)
    size = int((ordered.values.cumsum(0) < 0.5).sum()) + 1
    assert set(np.flatnonzero(counts)) == set(ordered.indices[:size].tolist())


def test_draws_depend_only_on_seed_question_and_answer():
    draws = uniform_draws(0, "q", 1, 5)
    assert draws == uniform_draws(0, "q", 1, 9)[:5]
    others = [uniform_draws(1, "q", 1, 5), uniform_draws(0, "p", 1, 5), uniform_draws(0, "q", 2, 5)]
    assert all(set(draws).isdisjoint(other) for other in others)
    assert uniform_draws(1, "1", 1, 1) != uniform_draws(1, "", 11, 1)


def test_draws_do_not_change_from_release_to_release():
    assert uniform_draws(0, "q", 1, 2) == [0.12865647079732678, 0.12685148695171333]


def test_draws_are_uniform():
    draws = [number for i in range(200) for number in uniform_draws(0, f"q{i}", 1, 20)]
    assert stats.kstest(draws, "uniform").pvalue > 0.01


def choose(scores, draws, **options):
    """One step for one question with these draws for its answers."""
    processor = SelectingProcessor.for_batch(["q"], SamplingSettings(num_answers=len(draws), **options), [])
    processor.selector._uniforms = torch.tensor(draws, dtype=torch.float64)[:, None]
    forced = processor(torch.zeros(len(scores), 1, dtype=torch.long), scores)
    assert ((forced == 0).sum(dim=1) == 1).all()
    assert forced.isneginf().sum() == forced.numel() - len(forced)
    return forced.argmax(dim=1).tolist()


def test_a_token_without_probability_is_never_chosen():
    scores = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]]).repeat(4, 1)
    assert choose(scores, [0.0, 0.4999, 1 - 2**-53]) == [1, 1, 1, 2]


def test_each_token_has_its_part_of_the_unit_interval():
    scores = torch.tensor([[0.25, 0.5, 0.25]]).log().repeat(6, 1)
    assert choose(scores, [0.0, 0.2499, 0.2501, 0.7499, 0.7501]) == [1, 0, 0, 1, 1, 2]


def test_an_answer_that_has_ended_does_not_change():
    seen = []
    settings = SamplingSettings(num_answers=2, max_new_tokens=3, top_k=1)
    processor = SelectingProcessor.for_batch(["q"], settings, [0], seen.append)
    input_ids = torch.zeros(3, 1, dtype=torch.long)
    for best in ([1, 0, 2], [1, 1, 0], [2, 1, 1], [2, 2, 2]):
        processor(input_ids, 20.0 * torch.nn.functional.one_hot(torch.tensor(best), 3).float())
    trace = processor.trace
    assert trace.answer_tokens() == [[1, 1, 2], [], [2]]
    assert trace.scored_tokens() == [3, 1, 2]
    assert trace.cut() == [True, False, False]
    assert trace.logprobs() == pytest.approx([0, 0, 0], abs=1e-6)
    active = [[True, False, True], [True, False, False], [True, False, False], [False, False, False]]
    assert torch.stack(seen).tolist() == active


def test_a_trace_sums_up_to_the_end_token_or_the_length_limit():
    trace = RowTrace(rows=3, limit=2, eos_ids=[8, 9])
    steps = [([5, 9, 6], [-1.0, -2.0, -4.0]), ([8, 5, 7], [-8.0, -16.0, -32.0]), ([5, 5, 5], [-64.0, -64.0, -64.0])]
    active = [trace.add(torch.tensor(ids), torch.tensor(values, dtype=torch.float64)) for ids, values in steps]
    assert torch.stack(active).tolist() == [[True, False, True], [False, False, True], [False, False, False]]
    assert trace.answer_tokens() == [[5], [], [6, 7]]
    assert trace.logprobs() == [-9.0, -2.0, -36.0]
    assert trace.scored_tokens() == [2, 1, 2]
    assert trace.cut() == [False, False, True]
