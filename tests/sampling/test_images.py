import io
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sgpu_lightning.errors import QuestionError
from sgpu_lightning.sampling import HuggingFaceSampler, PromptSettings, SamplingSettings, images
from sgpu_lightning.sampling.images import image_size, load_image
from sgpu_lightning.tasks.question import Question
from tests.sampling.families import VISION_LANGUAGE, family, make_questions, write_image
from tests.sampling.tiny import make_llama, make_tokenizer, row_texts


def ask(image):
    return Question(id="a", question="w5 w6", image=str(image))


def make_sampler(name, **prompt):
    model, processor = family(name)
    return HuggingFaceSampler(
        model, processor, SamplingSettings(num_answers=2, max_new_tokens=3), prompt=PromptSettings(**prompt)
    )


@pytest.fixture
def picture(tmp_path):
    return write_image(tmp_path / "a.png", 30, 40, seed=0)


@contextmanager
def serving(body, status=200, length=None):
    """A server that answers every request with these bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/a.png"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_file_is_decoded(picture):
    expected = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(load_image(ask(picture))), expected)
    assert image_size(ask(picture)) == (30, 40)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_other_colours_become_rgb(tmp_path, mode):
    file = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new(mode, (8, 6)).save(file)
    assert load_image(ask(file)).mode == "RGB"


def test_a_photograph_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=exif)
    assert load_image(ask(tmp_path / "a.jpg")).size == (30, 40)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        QuestionError, match=r"question 'a': image '.*none\.png': expected a file, got none at this path"
    ) as e:
        load_image(ask(tmp_path / "none.png"))
    assert e.value.question_id == "a"
    with pytest.raises(QuestionError, match="expected a file, got none at this path"):
        load_image(ask(tmp_path))


def test_a_file_that_is_not_an_image_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(QuestionError, match=r"'a': image .*a\.png': expected an image, got a file in a format that"):
        load_image(ask(tmp_path / "a.png"))


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp", "tif", "webp"])
def test_a_truncated_file_is_refused(tmp_path, kind):
    write_image(tmp_path / f"a.{kind}", 64, 64, seed=0)
    whole = (tmp_path / f"a.{kind}").read_bytes()
    for share in (0.1, 0.5, 0.9):
        (tmp_path / f"a.{kind}").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(QuestionError, match=r"question 'a': image '.*': expected an image, got a file"):
            load_image(ask(tmp_path / f"a.{kind}"))


def test_a_huge_image_is_refused_before_it_is_decoded(tmp_path):
    # A black image compresses well: a file of a few kilobytes decodes to 156 megabytes.
    Image.new("1", (8000, 6500)).save(tmp_path / "a.png")
    message = r"question 'a': image '.*': expected at most 50,000,000 pixels, got 8000 x 6500; make it smaller"
    with pytest.raises(QuestionError, match=message):
        load_image(ask(tmp_path / "a.png"))


def test_a_decompression_bomb_is_refused(tmp_path):
    Image.new("1", (20000, 20000)).save(tmp_path / "a.png")
    with pytest.raises(QuestionError, match=r"expected at most 50,000,000 pixels: .*400000000.*; make it smaller"):
        load_image(ask(tmp_path / "a.png"))


def test_a_url_is_not_fetched_unless_allowed(picture):
    with serving(Path(picture).read_bytes()) as url:
        message = "expected a file, got a URL, which is not fetched unless allow_urls is set"
        with pytest.raises(QuestionError, match=re.escape(f"question 'a': image '{url}': {message}")):
            load_image(ask(url))
        assert load_image(ask(url), allow_urls=True).size == (40, 30)
        assert image_size(ask(url), allow_urls=True) == (30, 40)


def test_a_url_without_an_image_is_refused(monkeypatch):
    with serving(b"gone", status=404) as url, pytest.raises(QuestionError, match=r"could not fetch it \(.*404"):
        load_image(ask(url), allow_urls=True)
    with serving(b"no image") as url, pytest.raises(QuestionError, match="got a file in a format that Pillow does not"):
        load_image(ask(url), allow_urls=True)
    with pytest.raises(QuestionError, match="could not fetch it"):
        load_image(ask("http://127.0.0.1:9/a.png"), allow_urls=True)
    monkeypatch.setattr(images, "MAX_BYTES", 100)
    with serving(b"x" * 101) as url, pytest.raises(QuestionError, match="expected at most 100 bytes, got more"):
        load_image(ask(url), allow_urls=True)


@pytest.mark.parametrize("scheme", ["file://", "ftp://", "data:image/png;base64,"])
def test_other_url_schemes_are_refused(picture, scheme):
    with pytest.raises(QuestionError, match=r"expected a file, got (none at this path|a data URL)"):
        load_image(ask(f"{scheme}{picture}"), allow_urls=True)


def test_a_name_too_long_for_the_file_system_fails_its_own_question_only():
    with pytest.raises(
        QuestionError, match=r"question 'a': image 'x{197}\.\.\.': expected a file, got none at this path"
    ):
        load_image(ask("x" * 10_000))


def test_a_text_model_takes_no_image(picture):
    sampler = HuggingFaceSampler(make_llama(), make_tokenizer())
    message = "question 'a': expected text alone, got an image too: use a vision-language model"
    for ask_it in (lambda question: sampler.sample([question]), sampler.prompt_length):
        with pytest.raises(QuestionError, match=message):
            ask_it(ask(picture))


@pytest.mark.parametrize("name", VISION_LANGUAGE)
def test_the_image_matters(name, tmp_path):
    sampler = make_sampler(name)
    pictures = [write_image(tmp_path / f"{i}.png", 56, 56, seed=i) for i in range(2)]
    one, other = (sampler.sample([ask(picture)])[0] for picture in pictures)
    assert not one.vectors[1][1].allclose(other.vectors[1][1], atol=1e-3)
    assert (one.record.image, one.record.modality) == (pictures[0], "image")
    text = sampler.sample([Question(id="a", question="w5 w6")])[0].record
    assert (text.image, text.modality) == (None, "text")


@pytest.mark.parametrize("name", VISION_LANGUAGE)
def test_plain_prompts_contain_the_image_too(name, tmp_path):
    sampler = make_sampler(name, style="plain")
    questions = make_questions(tmp_path, images=True)
    lone = [sampler.sample([question])[0] for question in questions]
    assert list(map(row_texts, lone)) == list(map(row_texts, sampler.sample(questions)))


def test_a_plain_prompt_for_qwen_brackets_the_image(picture):
    from sgpu_lightning.sampling.local.prompt import build_prompt

    text = build_prompt(ask(picture), family("qwen2.5-vl")[1], PromptSettings(style="plain", template="{question}"))
    assert text == "<|vision_start|><|image_pad|><|vision_end|>\nw5 w6"


def test_an_image_that_the_chat_template_leaves_out_is_reported(picture, monkeypatch):
    processor = family("llava-1.5")[1]
    monkeypatch.setattr(processor, "chat_template", "{{ messages[0].content[-1].text }}")
    message = r"question 'a': expected 1 image placeholder\(s\) '<image>' in the prompt, got 0: .*; try style 'plain'"
    with pytest.raises(QuestionError, match=message):
        make_sampler("llava-1.5").sample([ask(picture)])


@pytest.mark.parametrize("name", VISION_LANGUAGE)
def test_a_placeholder_within_the_question_is_refused(name, picture):
    token = family(name)[1].image_token
    for image in (picture, None):
        question = Question(id="a", question=f"w5 {token}", image=image)
        with pytest.raises(
            QuestionError, match=r"question 'a': expected . image placeholder.*: take it out of the text"
        ):
            make_sampler(name).sample([question])


def test_an_instruction_comes_before_the_image(picture):
    text = make_sampler("qwen2.5-vl", system="w9 w9").sample([ask(picture)])[0]
    other = make_sampler("qwen2.5-vl").sample([ask(picture)])[0]
    assert not text.vectors[1][1].allclose(other.vectors[1][1], atol=1e-3)


def test_the_question_with_the_largest_image_is_asked_first(tmp_path, monkeypatch):
    sampler = make_sampler("qwen2.5-vl")
    sizes = {"small": 56, "large": 200, "middle": 112}
    asked = [
        Question(id=name, question="w5 w6", image=write_image(tmp_path / f"{name}.png", size, size, seed=0))
        for name, size in sizes.items()
    ]
    missing = Question(id="missing", question="w5 w6", image=str(tmp_path / "none.png"))
    monkeypatch.setattr(sampler, "batch_size", 1)
    outcomes = list(sampler.answer([missing, *asked]))
    assert [one.record.id for one in outcomes[:3]] == ["large", "middle", "small"]
    assert "expected a file, got none at this path" in outcomes[3].reason


def test_a_url_is_fetched_once_for_each_question(picture, monkeypatch):
    fetched = []
    monkeypatch.setattr(images, "_fetch", lambda question, address: fetched.append(address) or io.BytesIO(data))
    data = Path(picture).read_bytes()
    (outcome,) = make_sampler("llava-1.5", allow_urls=True).answer([ask("http://example.com/a.png")])
    assert outcome.record.image == "http://example.com/a.png"
    assert len(fetched) == 1


def test_options_for_the_image_processor_are_passed_on(tmp_path):
    big = ask(write_image(tmp_path / "a.png", 200, 200, seed=0))
    limited = {"size": {"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 4}}
    usual, smaller = make_sampler("qwen2.5-vl"), make_sampler("qwen2.5-vl", image_options=limited)
    assert usual.prompt_length(big) - smaller.prompt_length(big) == 12
    assert len(smaller._encode(big).ids) == smaller.prompt_length(big)
    assert smaller.describe()["prompt"]["image_options"] == limited


def test_an_image_that_does_not_fit_the_context_is_refused_and_never_cut(picture, monkeypatch):
    sampler = make_sampler("llava-1.5")
    length = sampler.prompt_length(ask(picture))
    monkeypatch.setattr(sampler.model.config.text_config, "max_position_embeddings", length + 2)
    message = (
        rf"question 'a': expected at most {length + 2} tokens, .* got {length} of the prompt .* or the image's size"
    )
    for ask_it in (lambda question: sampler.sample([question]), sampler.prompt_length):
        with pytest.raises(QuestionError, match=message):
            ask_it(ask(picture))


def test_allow_urls_is_not_part_of_the_manifest():
    assert PromptSettings(allow_urls=True).to_dict() == PromptSettings().to_dict()


def test_the_flag_reaches_the_sampler(picture):
    with serving(Path(picture).read_bytes()) as url:
        with pytest.raises(QuestionError, match="not fetched unless allow_urls is set"):
            make_sampler("llava-1.5").sample([ask(url)])
        fetched = make_sampler("llava-1.5", allow_urls=True).sample([ask(url)])
    assert row_texts(fetched[0]) == row_texts(make_sampler("llava-1.5").sample([ask(picture)])[0])
