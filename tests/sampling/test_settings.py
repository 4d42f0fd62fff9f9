import json
import subprocess
import sys

import pytest

from sgpu_lightning.sampling.sampling_settings import SamplingSettings


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("num_answers", 1, "num_answers: expected an integer of at least 2, got 1; disagreement needs"),
        ("num_answers", 2.0, "num_answers: expected an integer of at least 2, got 2.0"),
        ("temperature", 0, "temperature: expected a number above 0, got 0; the greedy answer is always generated"),
        ("temperature", float("nan"), "temperature: expected a number above 0, got nan"),
        ("temperature", float("inf"), "temperature: expected a number above 0, got inf"),
        ("temperature", "1", "temperature: expected a number above 0, got '1'"),
        ("top_k", 0, "top_k: expected an integer of at least 1, got 0; None samples from all"),
        ("top_p", 0.0, r"top_p: expected a number in \(0, 1\] or None, got 0.0"),
        ("top_p", 1.5, r"top_p: expected a number in \(0, 1\] or None, got 1.5"),
        ("max_new_tokens", 0, "max_new_tokens: expected an integer of at least 1, got 0"),
        ("max_new_tokens", True, "max_new_tokens: expected an integer of at least 1, got True"),
        ("seed", -1, "seed: expected an integer of at least 0, got -1"),
    ],
)
def test_bad_settings_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        SamplingSettings(**{field: value})


def test_settings_survive_json():
    settings = SamplingSettings(num_answers=5, temperature=0.7, top_k=20, top_p=0.9, seed=3)
    assert SamplingSettings(**json.loads(json.dumps(settings.to_dict()))) == settings


def test_the_settings_do_not_import_torch():
    code = (
        "import sys; from sgpu_lightning.sampling import SamplingSettings, PromptSettings; import sgpu_lightning.tasks;"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error():
    import sgpu_lightning.sampling

    with pytest.raises(AttributeError, match="has no attribute 'Sampler'"):
        _ = sgpu_lightning.sampling.Sampler
