import pytest
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from sgpu_lightning.sampling import HiddenStateRecorder, HuggingFaceSampler, SamplingSettings
from sgpu_lightning.sampling.recording.hooks import resolve_layers
from tests.sampling.tiny import (
    EOS,
    NUM_LAYERS,
    PLAIN,
    make_llama,
    make_questions,
    make_tokenizer,
    prompt_ids,
    reference_states,
    row_texts,
    row_vectors,
    sample_in_batches,
    word_ids,
)

# How often answers end early, by the bias on the end token's score.
ALL_CUT, SOME_END, MOST_EMPTY = -1e4, 3.0, 9.0


def reduce_states(states, token):
    return states[-1] if token == "last" else states.mean(dim=0)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
@pytest.mark.parametrize("token", ["last", "mean"])
@pytest.mark.parametrize("eos_bias", [ALL_CUT, SOME_END, MOST_EMPTY])
def test_vectors_equal_a_lone_forward_over_prompt_and_answer(batch_size, token, eos_bias):
    model = make_llama(eos_bias)
    settings = SamplingSettings(num_answers=4, max_new_tokens=6)
    sampler = HuggingFaceSampler(model, make_tokenizer(), settings, layers=[0, 1], token=token, prompt=PLAIN)
    questions = make_questions(8)
    for question, sampled in zip(questions, sample_in_batches(sampler, questions, batch_size), strict=True):
        for row, text in enumerate(row_texts(sampled)):
            expected = reference_states(model, prompt_ids(question), word_ids(text), [0, 1])
            for layer, states in enumerate(expected):
                vector = row_vectors(sampled, layer)[row]
                torch.testing.assert_close(vector, reduce_states(states, token), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("eos_bias", "kinds"), [(ALL_CUT, {"cut"}), (SOME_END, {"cut", "ended"}), (MOST_EMPTY, {"empty"})]
)
def test_the_cases_above_contain_cut_ended_and_empty_answers(eos_bias, kinds):
    settings = SamplingSettings(num_answers=4, max_new_tokens=6)
    sampler = HuggingFaceSampler(make_llama(eos_bias), make_tokenizer(), settings, prompt=PLAIN)
    lengths = [len(text.split()) for sampled in sampler.sample(make_questions(8)) for text in row_texts(sampled)]
    assert kinds <= {"cut" if n == 6 else "empty" if n == 0 else "ended" for n in lengths}


def test_the_last_layer_is_recorded_before_the_final_norm():
    model = make_llama()
    sampler = HuggingFaceSampler(
        model, make_tokenizer(), SamplingSettings(num_answers=2, max_new_tokens=3), layers=-1, prompt=PLAIN
    )
    question = make_questions(1)[0]
    sampled = sampler.sample([question])[0]
    for text, vector in zip(row_texts(sampled), row_vectors(sampled, NUM_LAYERS - 1), strict=True):
        after_norm = reference_states(model, prompt_ids(question), word_ids(text), [NUM_LAYERS - 1])[0][-1]
        torch.testing.assert_close(model.model.norm(vector), after_norm, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(vector, after_norm, atol=1e-2)


class MarkOneStep(LogitsProcessor):
    """Leaves the scores as they are and marks the rows at one step only."""

    def __init__(self, recorder, step):
        self.recorder, self.wanted, self.step = recorder, step, 0

    def __call__(self, input_ids, scores):
        self.recorder.mark(torch.full((len(scores),), self.step == self.wanted))
        self.step += 1
        return scores


@pytest.mark.parametrize("step", [-1, 0, 1, 3])
def test_each_step_equals_the_hidden_states_that_generate_returns(step):
    model = make_llama()
    ids = torch.randint(4, 100, (3, 7), generator=torch.Generator().manual_seed(1))
    recorder = HiddenStateRecorder(model, [0, 1])
    with recorder:
        output = model.generate(
            ids,
            do_sample=False,
            max_new_tokens=6,
            output_hidden_states=True,
            return_dict_in_generate=True,
            logits_processor=LogitsProcessorList([MarkOneStep(recorder, step)]),
        )
    # The token selected at a step is fed back at the next, where its state appears; without a mark the prompt's state
    # is kept.
    states = output.hidden_states[step + 1]
    for layer, vectors in recorder.vectors().items():
        torch.testing.assert_close(vectors, states[layer + 1][:, -1], atol=0, rtol=0)


def test_layers_may_return_a_tuple():
    model = make_llama()
    ids = torch.tensor([[5, 6, 7]])
    with HiddenStateRecorder(model, 1) as plain:
        model(ids)
    model.model.layers[1].register_forward_hook(lambda module, args, output: (output, None))
    model.model.layers[2].register_forward_pre_hook(lambda module, args: (args[0][0], *args[1:]))
    with HiddenStateRecorder(model, 1) as tupled:
        model(ids)
    torch.testing.assert_close(tupled.vectors()[1], plain.vectors()[1], atol=0, rtol=0)


def test_only_one_vector_per_row_is_kept():
    model = make_llama()
    with HiddenStateRecorder(model, 0) as recorder:
        model(torch.randint(4, 100, (2, 50)))
        vectors = recorder.vectors()[0]
    assert vectors.shape == (2, 32)
    assert vectors.untyped_storage().nbytes() == vectors.numel() * 4
    assert all(r._prompt.untyped_storage().nbytes() == 2 * 32 * 4 for r in recorder._reductions.values())


def test_half_precision_states_are_summed_and_returned_in_float32():
    model = make_llama().to(torch.bfloat16)
    sampler = HuggingFaceSampler(
        model, make_tokenizer(), SamplingSettings(num_answers=2, max_new_tokens=40), token="mean", prompt=PLAIN
    )
    question = make_questions(1)[0]
    sampled = sampler.sample([question])[0]
    vectors = row_vectors(sampled, 1)
    assert vectors.dtype == torch.float32
    states = reference_states(model, prompt_ids(question), word_ids(sampled.record.greedy), [1])[0]
    # Each state is rounded to 8 bits; the mean must not be rounded.
    torch.testing.assert_close(vectors[0], states.float().mean(dim=0), atol=0.05, rtol=0.02)
    assert not torch.equal(vectors[0], vectors[0].bfloat16().float())


def hook_count(model):
    return sum(len(layer._forward_hooks) for layer in model.model.layers)


def test_hooks_exist_only_within_the_block():
    model = make_llama()
    with HiddenStateRecorder(model, [0, 2]):
        assert hook_count(model) == 2
    assert hook_count(model) == 0


def test_hooks_are_removed_after_an_error():
    model = make_llama()
    recorder = HiddenStateRecorder(model, [0, 2])
    with pytest.raises(KeyError), recorder:
        raise KeyError
    assert hook_count(model) == 0


def test_hooks_are_removed_when_generation_fails():
    model = make_llama()
    sampler = HuggingFaceSampler(model, make_tokenizer(), SamplingSettings(num_answers=2), prompt=PLAIN)

    def fail(*args):
        raise MemoryError("no room")

    handle = model.model.layers[2].register_forward_pre_hook(fail)
    original = model.generation_config
    with pytest.raises(MemoryError, match="no room"):
        sampler.sample(make_questions(2))
    assert hook_count(model) == 0
    assert model.generation_config is original
    handle.remove()
    assert len(sampler.sample(make_questions(2))) == 2


def test_a_recorder_starts_empty_each_time():
    model = make_llama()
    recorder = HiddenStateRecorder(model, 0)
    with recorder:
        model(torch.tensor([[4, 5], [6, 7]]))
    with recorder:
        model(torch.tensor([[8, 9]]))
    assert recorder.vectors()[0].shape == (1, 32)


@pytest.mark.parametrize(
    ("layers", "resolved"), [(None, (1,)), (0, (0,)), (-1, (2,)), ([], ()), ([2, 0], (2, 0)), ([1, -2], (1,))]
)
def test_layers_count_from_0_or_from_the_end_and_default_to_the_middle(layers, resolved):
    assert resolve_layers(make_llama(), layers) == resolved


@pytest.mark.parametrize("layer", [3, -4, 99])
def test_an_unknown_layer_is_refused_with_the_range(layer):
    message = rf"layers: expected indices from -3 to 2, got {layer}: LlamaForCausalLM has 3 decoder layers"
    with pytest.raises(IndexError, match=message):
        HiddenStateRecorder(make_llama(), [0, layer])


def test_an_unknown_token_rule_is_refused():
    with pytest.raises(ValueError, match="token: expected one of last, mean, got 'first'"):
        HiddenStateRecorder(make_llama(), token="first")


def test_a_mark_of_the_wrong_length_is_refused():
    model = make_llama()
    with HiddenStateRecorder(model) as recorder:
        model(torch.tensor([[4, 5], [6, 7]]))
        recorder.mark(torch.tensor([True]))
        with pytest.raises(ValueError, match="mark: expected one flag for each of 2 rows, got 1"):
            model(torch.tensor([[EOS], [EOS]]))


def test_vectors_before_any_forward_are_refused():
    with (
        HiddenStateRecorder(make_llama()) as recorder,
        pytest.raises(RuntimeError, match="nothing was recorded: the model ran no forward"),
    ):
        recorder.vectors()
