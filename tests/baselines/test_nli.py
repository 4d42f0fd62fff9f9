from __future__ import annotations

import json
import string
from pathlib import Path

import pytest
import torch

from sgpu_lightning.baselines import NLICrossEncoder, NLIError, ScoreInputs, compute_scores, get_score
from sgpu_lightning.baselines.inputs.nli import nli_matrices
from tests.baselines.helpers import records_of

# The order in which the tiny model's classes stand: not ours.
CLASSES = {0: "ENTAILMENT", 1: "neutral", 2: "Contradiction"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder of one small layer, built from config."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("nli")
    letters = [*string.ascii_lowercase, *string.digits, "?"]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words))
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
        id2label=CLASSES,
        label2id={label: i for i, label in CLASSES.items()},
        initializer_range=1.0,
    )
    torch.manual_seed(0)
    BertForSequenceClassification(config).eval().save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def plain_logits(folder: Path, one: str, other: str) -> list[float]:
    """Contradiction, neutral, entailment of one pair, asked alone."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        logits = model(**AutoTokenizer.from_pretrained(folder)(one, other, return_tensors="pt")).logits[0]
    return [logits[2].item(), logits[1].item(), logits[0].item()]


class Counting(NLICrossEncoder):
    """Notes what it is asked."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.asked: list[list[tuple[str, str]]] = []

    def logits(self, pairs):
        self.asked.append(list(pairs))
        return super().logits(pairs)


SETS = (("red", "blue", "red"), ("red", "a very long answer indeed"))


@pytest.mark.parametrize("with_question", [True, False])
def test_matrices_are_what_the_model_says_of_each_pair(tiny, with_question):
    records = records_of(*SETS, greedy="blue", question="which?")
    matrices = nli_matrices(records, NLICrossEncoder(str(tiny), batch_size=3, with_question=with_question))
    assert matrices.logits.dtype == torch.float64
    before = "which? " if with_question else ""
    for b, answers in enumerate(SETS):
        for j, other in enumerate(answers):
            expected = plain_logits(tiny, f"{before}blue", before + other)
            assert matrices.scored[b, j].tolist() == pytest.approx(expected, abs=1e-4)
            for i, one in enumerate(answers):
                expected = plain_logits(tiny, before + one, before + other)
                assert matrices.logits[b, i, j].tolist() == pytest.approx(expected, abs=1e-4)
    assert not matrices.logits[1, 2].any()  # padding


def test_each_distinct_pair_is_asked_once_and_only_when_a_score_needs_it(tiny):
    model = Counting(str(tiny), with_question=False)
    inputs = ScoreInputs(records=records_of(*SETS, ("red", "blue"), greedy="blue"), nli=model)
    assert model.asked == []
    get_score("lexical_entropy").raw(inputs)
    assert model.asked == []
    table = compute_scores(inputs)
    assert len(model.asked) == 1
    assert len(set(model.asked[0])) == len(model.asked[0])
    long = SETS[1][1]
    texts = [("red", "red"), ("red", "blue"), ("blue", "red"), ("blue", "blue")]
    assert set(model.asked[0]) == {*texts, ("red", long), (long, "red"), (long, long), ("blue", long)}
    nli = {name for name in table.confidence if "nli" in get_score(name).needs}
    assert {"semantic_entropy", "num_sets", "luq", "eigv_nli", "deg_nli_contra", "kle_heat_lm_polygraph"} <= nli
    assert all(torch.isfinite(table.confidence[name]).all() for name in nli)


def test_the_model_is_loaded_when_first_asked():
    model = NLICrossEncoder("./no/such/folder")  # fine so far
    with pytest.raises(
        NLIError, match=r"NLI model '\./no/such/folder': neither a folder here nor loadable from the hub"
    ):
        model.logits([("a", "b")])


def test_a_model_of_other_classes_is_refused(tiny, tmp_path):
    for file in tiny.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["id2label"] = {"0": "good", "1": "bad", "2": "ugly"}
    config["label2id"] = {"good": 0, "bad": 1, "ugly": 2}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(NLIError, match="expected the classes contradiction, neutral, entailment, got good, bad, ugly"):
        NLICrossEncoder(str(tmp_path)).logits([("a", "b")])


def test_no_pairs_need_no_model():
    assert NLICrossEncoder("./no/such/folder").logits([]).shape == (0, 3)
