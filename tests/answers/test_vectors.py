from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpu_lightning.answers.storage.vectors import VectorError, VectorShard, VectorSpec, read_shard, shard_table
from tests.answers.helpers import encoder, hidden, random_shard

IDS = ["a", "b", "c"]


def through_file(folder, shard, dtype="float32", ids=IDS):
    pq.write_table(shard_table(shard, ids, dtype, "here"), folder / "shard.parquet")
    return read_shard(folder / "shard.parquet")


def assert_equal(given, expected):
    for name in ("answers", "counts", "scored"):
        got, wanted = getattr(given, name), getattr(expected, name)
        assert got.dtype == wanted.dtype
        assert got.shape == wanted.shape
        assert got.tobytes() == wanted.tobytes()


@given(st.lists(st.integers(1, 5), max_size=6), st.integers(1, 9), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_float32_comes_back_byte_for_byte(tmp_path_factory, counts, dim, seed):
    shard = random_shard(counts, dim, seed)
    ids = [str(i) for i in range(len(counts))]
    assert_equal(through_file(tmp_path_factory.getbasetemp(), shard, ids=ids), shard)


def test_the_ends_of_float32_come_back_byte_for_byte(tmp_path):
    ends = np.array([[-0.0, 1e-45], [3.4e38, -3.4e38]], np.float32)
    shard = VectorShard(ends, np.array([2]), ends[1:])
    assert_equal(through_file(tmp_path, shard, ids=["a"]), shard)


def test_float16_is_the_rounded_vector_as_float32(tmp_path):
    shard = random_shard([2, 3, 4], dim=5)
    half = VectorShard(
        shard.answers.astype(np.float16).astype(np.float32),
        shard.counts,
        shard.scored.astype(np.float16).astype(np.float32),
    )
    assert_equal(through_file(tmp_path, shard, "float16"), half)


def test_float16_takes_half_the_room(tmp_path):
    shard = random_shard([50] * 20, dim=64)
    sizes = []
    for dtype in ("float16", "float32"):
        through_file(tmp_path, shard, dtype, ids=[str(i) for i in range(20)])
        sizes.append((tmp_path / "shard.parquet").stat().st_size)
    assert sizes[0] < 0.6 * sizes[1]


def test_vectors_read_may_be_written_to(tmp_path):
    # PyTorch warns about arrays that are not writable.
    shard = through_file(tmp_path, random_shard([2, 2, 2]))
    assert shard.answers.flags.writeable
    assert shard.scored.flags.writeable


def test_stack_keeps_sets_of_unequal_size():
    first, second = np.ones((2, 3)), np.full((4, 3), 2.0)
    shard = VectorShard.stack([first, second], [first[0], second[0]])
    assert shard.counts.tolist() == [2, 4]
    assert shard.answers.tolist() == [[1.0] * 3] * 2 + [[2.0] * 3] * 4
    assert shard.scored.tolist() == [[1.0] * 3, [2.0] * 3]


@pytest.mark.parametrize(("answers", "scored"), [((3, 4), (3, 3)), ((3, 3), (3, 4)), ((3, 3), (4, 4))])
def test_stack_refuses_unequal_dimensions(answers, scored):
    with pytest.raises(VectorError, match=r"unequal dimensions \[3, 4\]: expected one dimension for all"):
        VectorShard.stack([np.ones((2, dim)) for dim in answers], [np.ones(dim) for dim in scored])


@pytest.mark.parametrize(
    ("value", "got"), [(np.nan, "NaN or infinity"), (np.inf, "NaN or infinity"), (0.0, "a zero vector")]
)
@pytest.mark.parametrize(("part", "at", "named"), [("answers", 1, "a"), ("answers", 2, "b"), ("scored", 2, "c")])
def test_bad_vector_names_its_answer_set(value, got, part, at, named):
    shard = random_shard([2, 3, 4])
    getattr(shard, part)[at] = value
    message = rf"^here: answer set '{named}': expected finite, non-zero vectors, got {got} \(1 such vectors in all\)"
    with pytest.raises(VectorError, match=message):
        shard.check(IDS, "here")


def test_one_bad_value_in_a_vector_is_enough():
    shard = random_shard([2, 3, 4])
    shard.answers[[5, 7], 0] = np.nan
    with pytest.raises(VectorError, match=r"answer set 'c': .* \(2 such vectors in all\)"):
        shard.check(IDS, "here")


def test_bad_vectors_are_not_written(tmp_path):
    shard = random_shard([2, 3, 4])
    shard.answers[0] = 0
    with pytest.raises(VectorError, match="here: answer set 'a'"):
        through_file(tmp_path, shard)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("part", ["answers", "scored"])
@pytest.mark.parametrize(("value", "message"), [(7e4, "too large"), (1e-9, "too small")])
def test_what_float16_cannot_hold_is_refused(tmp_path, part, value, message):
    shard = random_shard([2, 3, 4])
    getattr(shard, part)[1] = value
    with pytest.raises(VectorError, match=f"^here: a vector has values {message} for float16: use dtype float32"):
        through_file(tmp_path, shard, "float16")
    assert_equal(through_file(tmp_path, shard), shard)


@pytest.mark.parametrize(
    ("shard", "got"),
    [
        (random_shard([2, 3]), "got 2, 2 and 5"),
        (VectorShard(np.ones((8, 2)), np.array([2, 3, 4]), np.ones((3, 2))), "got 3, 3 and 8"),
        (VectorShard(np.ones((9, 2)), np.array([2, 3, 4]), np.ones((2, 2))), "got 3, 2 and 9"),
    ],
    ids=["answer sets", "answers", "scored"],
)
def test_numbers_of_vectors_must_agree(shard, got):
    with pytest.raises(VectorError, match=f"^here: expected counts of 3, scored vectors of 3 .*, {got}$"):
        shard.check(IDS, "here")


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (hidden(layer=2), "layer2-last"),
        (hidden(layer=0, token="mean"), "layer0-mean"),
        (encoder("minilm"), "minilm"),
        (encoder("sentence-transformers/all-MiniLM-L6-v2"), "all-MiniLM-L6-v2"),
        (encoder("/models/my encoder/"), "my-encoder"),
        (encoder("a:b\\c"), "a-b-c"),
        (encoder(".."), "encoder"),
        (encoder("../.hidden"), "hidden"),
    ],
)
def test_name_is_safe_for_a_folder(spec, name):
    assert spec.name == name


def test_describe_says_what_made_the_vectors():
    assert encoder("minilm", revision="0123456789abcdef").describe() == "encoder minilm (revision 0123456789ab)"
    assert encoder("minilm", revision=None).describe() == "encoder minilm"
    assert hidden(layer=2).describe() == "hidden states of tiny, layer 2 of 4, last token"


@pytest.mark.parametrize(
    ("one", "other", "matching"),
    [
        (encoder(), encoder(), True),
        (encoder("enc"), encoder("/models/enc"), True),  # the same weights under another name
        (encoder(revision="r1"), encoder(revision="r2"), False),
        (encoder(revision=None), encoder(revision="r2"), True),
        (encoder("enc", revision=None), encoder("other", revision=None), False),
        (encoder(), hidden(), False),
        (hidden(layer=1), hidden(layer=1), True),
        (hidden(layer=1), hidden(layer=2), False),
        (hidden(source="tiny", layer=1), hidden(source="big", layer=9, num_layers=32, dim=8), True),  # as deep
        (hidden(source="tiny", layer=1), hidden(source="big", layer=24, num_layers=32), False),
        (hidden(source="tiny", layer=16, num_layers=32), hidden(source="big", layer=14, num_layers=29), True),
        (hidden(source="tiny", layer=1), hidden(source="big", layer=24, num_layers=None), True),  # not known
        (hidden(token="last"), hidden(token="mean"), False),
        (hidden(source="tiny", token="last"), hidden(source="big", token="mean"), False),
    ],
)
def test_vectors_match_if_a_predictor_may_take_either(one, other, matching):
    assert one.matches(other) is matching
    assert other.matches(one) is matching


def test_spec_survives_its_dictionary():
    assert VectorSpec(**hidden().to_dict()) == hidden()
