"""The model card: a predictor's README.md, made from its config alone."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sgpu_lightning.answers.storage.vectors import describe_specs
from sgpu_lightning.metrics.registry import METRICS
from sgpu_lightning.predictor.artefact.predictor_config import Evaluation, Interval, PredictorConfig
from sgpu_lightning.predictor.artefact.training_domain import UNLIKE_QUANTILE


def model_card(config: PredictorConfig, picture: str | None = None) -> str:
    """Write the model card's text.

    Args:
        config: The predictor's config.
        picture: File name of the calibration plot beside the card; None for a table in its place.
    """
    parts = [
        _front_matter(config),
        f"# {config.title}\n",
        "Gives the probability that a language or vision-language model's answer is right, from how much its sampled "
        "answers disagree: the eigenspectrum of the Gram matrix of their vectors, and a frozen Gaussian process on it "
        f"([SGPU](https://arxiv.org/abs/2512.14177)). Made by sgpu_lightning {config.sgpu_version}.\n",
        _use(config),
        _data(config),
        _evaluation(config, picture),
        _limits(config),
    ]
    return "\n".join(parts)


def _front_matter(config: PredictorConfig) -> str:
    # A JSON string is a valid YAML string, whatever characters it holds.
    license_line = [f"license: {json.dumps(config.license)}"] if config.license else []
    lines = ["library_name: sgpu_lightning", *license_line, "tags:", "- uncertainty", "- calibration"]
    return "---\n" + "\n".join(lines) + "\n---\n"


def _use(config: PredictorConfig) -> str:
    return f"""## Use

Use it on questions and models like those below, to rank answers by trust and to decide which answers to withhold.
{_vectors(config)} It takes {config.describe_num_answers()} to a question. P(correct) is the probability that the
scored answer is right: {config.scored_answer}.

```python
from sgpu_lightning import SGPUPredictor

{_python(config)}
```
"""


def _vectors(config: PredictorConfig) -> str:
    made_by = describe_specs(config.vectors)
    if config.is_black_box:
        return f"Black-box: it needs only texts, which the {made_by} turns into vectors."
    rule = "; ".join(
        f"layer {spec.layer} of {spec.num_layers}, or the layer at the same relative depth in another model, "
        f"{spec.token} answer token"
        for spec in config.vectors
    )
    width = "vectors of one width only" if config.features.get("projection") else "vectors of any width"
    return f"White-box: it takes {width}, a model's hidden states ({rule}). It was fitted on {made_by}."


def _python(config: PredictorConfig) -> str:
    if config.is_black_box:
        return (
            'predictor = SGPUPredictor.from_pretrained("FOLDER")\n'
            'score = predictor.score(answers=["Paris", "Paris.", ...], greedy="Paris", question="Capital of France?")\n'
            "print(score.p_correct, score.unlike_training)"
        )
    return (
        'predictor = SGPUPredictor.from_pretrained("FOLDER")\n'
        'reply = predictor.wrap(model, processor).ask("Capital of France?")\n'
        "print(reply.answer, reply.p_correct)"
    )


def _data(config: PredictorConfig) -> str:
    data = config.training
    return f"""## Fitted on

| | |
|---|---|
| answer sets | {data.sets:,}, {data.right:.0%} of them right |
| questions | {_cell(data.datasets)} |
| models that answered | {_cell(data.models)} |
| grader, for sets without a label | {_cell([config.grader])} |
| vectors | {_cell([describe_specs(config.vectors)])} |
| features | {_cell(config.features.get("blocks", ()))} |
| fingerprint | `{data.fingerprint[:16]}` |
""" + (f"\n{config.notes}\n" if config.notes else "")


def _evaluation(config: PredictorConfig, picture: str | None) -> str:
    found = config.evaluation
    if found is None:
        return "## On held-out answer sets\n\nNot evaluated: no answer sets were held out from fitting.\n"
    rows = [f"| {_heading(name)} | {_interval(value)} |" for name, value in found.metrics.items()]
    return "\n".join(
        [
            "## On held-out answer sets\n",
            f"{found.sets:,} sets of groups that it was not fitted on, {found.right:.0%} of them right; 95 % bootstrap "
            "intervals over groups.\n",
            "| metric | value |\n|---|---|",
            *rows,
            f"| {METRICS['ece_floor'].heading} | {found.ece_floor:.3f} |\n",
            "The ECE floor is the expected ECE of a perfectly calibrated predictor on this number of sets.\n",
            f"![Proportion of right answers against P(correct)]({picture})\n" if picture else _calibration_table(found),
        ]
    )


def _calibration_table(found: Evaluation) -> str:
    rows = (f"| {one.p_correct:.2f} | {one.right:.2f} | {one.sets} |" for one in found.calibration)
    return "\n".join(["| mean P(correct) | proportion right | sets |\n|---|---|---|", *rows, ""])


def _limits(config: PredictorConfig) -> str:
    found = config.evaluation
    held_out = "" if found is None else f", {found.unlike_training:.1%} of the held-out sets"
    return f"""## Limits

- A confident, consistent mistake looks like a right answer: the predictor sees only disagreement.
- Ranking carries over to other models and questions better than calibration does. Where the proportion of right answers
  differs from {config.training.right:.0%}, expect P(correct) to be miscalibrated, and check it on labels of your own.
- Sets that look unlike the training sets (latent variance above {config.domain.unlike_above:.3g}) are marked
  `unlike_training`: {1.0 - UNLIKE_QUANTILE:.0%} of the training sets{held_out}. Not every unfamiliar set is marked.
"""


def _heading(name: str) -> str:
    """The metric's heading; its name if this version does not know the metric."""
    return METRICS[name].heading if name in METRICS else name


def _interval(value: Interval) -> str:
    if value.low is None or value.high is None:
        return f"{value.value:.3f}"
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _cell(values: Iterable[str]) -> str:
    """Join names into the text of a table cell, replacing the characters that would be markup."""
    return (
        ", ".join("`" + value.replace("`", "'").replace("|", "/").replace("\n", " ") + "`" for value in values) or "-"
    )
