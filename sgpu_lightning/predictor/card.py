"""The model card: a predictor's README.md, made from its config alone."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable

from sgpu_lightning.answers.storage.vectors import describe_specs
from sgpu_lightning.predictor.config import Evaluation, Interval, PredictorConfig
from sgpu_lightning.predictor.domain import FLAG_ABOVE
from sgpu_lightning.predictor.scoring import describe_count

_NAMES = {"auroc": "AUROC", "auarc": "AUARC", "prr": "PRR", "ece": "ECE", "brier": "Brier", "nll": "NLL"}


def model_card(config: PredictorConfig, picture: str | None = None) -> str:
    """The card's text.

    Args:
        config: The predictor's.
        picture: Name of the calibration picture beside the card; None: a table stands in its place.
    """
    parts = [
        _front_matter(config),
        f"# {config.title}\n",
        "Gives the probability that a language or vision-language model's answer is right, from how much its sampled "
        "answers disagree: the eigenspectrum of their vectors and a Gaussian process "
        "([SGPU](https://arxiv.org/abs/2512.14177)), frozen. Made by sgpu_lightning "
        f"{config.sgpu_version}.\n",
        _use(config),
        _data(config),
        _evaluation(config, picture),
        _limits(config),
    ]
    return "\n".join(parts)


def _front_matter(config: PredictorConfig) -> str:
    # A JSON string is a YAML string, whatever is in it.
    license_line = [f"license: {json.dumps(config.license)}"] if config.license else []
    lines = ["library_name: sgpu_lightning", *license_line, "tags:", "- uncertainty", "- calibration"]
    return "---\n" + "\n".join(lines) + "\n---\n"


def _use(config: PredictorConfig) -> str:
    return f"""## Use

For questions and models like those below, to rank answers by trust and to decide which to withhold.
{_vectors(config)} Give {describe_count(config)} to a question. P(correct) is about {config.scored_answer}.

```python
from sgpu_lightning import SGPUPredictor

{_python(config)}
```
"""


def _vectors(config: PredictorConfig) -> str:
    made_by = describe_specs(config.vectors)
    if config.vectors[0].kind == "encoder":
        return f"Black-box: needs only texts, which the {made_by} turns into vectors."
    rule = "; ".join(
        f"layer {spec.layer} of {spec.num_layers}, or the layer as deep in another model, {spec.token} answer token"
        for spec in config.vectors
    )
    width = "vectors of one length only" if config.features.get("projection") else "vectors of any width"
    return f"White-box: takes {width}, a model's hidden states ({rule}). Fitted on {made_by}."


def _python(config: PredictorConfig) -> str:
    if config.vectors[0].kind == "encoder":
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
| grader, where a set had no label | {_cell([config.grader])} |
| vectors | {_cell([describe_specs(config.vectors)])} |
| features | {_cell(config.features.get("blocks", ()))} |
| fingerprint | `{data.fingerprint[:16]}` |
""" + (f"\n{config.notes}\n" if config.notes else "")


def _evaluation(config: PredictorConfig, picture: str | None) -> str:
    found = config.evaluation
    if found is None:
        return "## On held-out answer sets\n\nNot evaluated: the fit held no answer sets out.\n"
    rows = [f"| {_NAMES.get(name, name)} | {_interval(value)} |" for name, value in found.metrics.items()]
    return "\n".join(
        [
            "## On held-out answer sets\n",
            f"{found.sets:,} sets of groups it was not fitted on, {found.right:.0%} of them right; 95 % bootstrap "
            "intervals over groups.\n",
            "| metric | value |\n|---|---|",
            *rows,
            f"| ECE floor | {found.ece_floor:.3f} |\n",
            "A perfectly calibrated predictor would show an ECE near its floor on this many sets.\n",
            f"![Share of right answers against P(correct)]({picture})\n" if picture else _calibration_table(found),
        ]
    )


def _calibration_table(found: Evaluation) -> str:
    rows = (f"| {one.p_correct:.2f} | {one.right:.2f} | {one.sets} |" for one in found.calibration)
    return "\n".join(["| mean P(correct) | right | sets |\n|---|---|---|", *rows, ""])


def _limits(config: PredictorConfig) -> str:
    share = "" if config.evaluation is None else f", {config.evaluation.unlike_training:.1%} of the held-out ones"
    return f"""## Limits

- A confident, consistent mistake looks like a right answer: only disagreement shows.
- Ranking carries over to other models and questions better than calibration does. Where the share of right answers
  differs from {config.training.right:.0%}, expect P(correct) to be off, and check it on some labels of your own.
- Sets that look unlike the training ones (latent variance above {config.domain.unlike_above:.3g}) are marked
  `unlike_training`: {1.0 - FLAG_ABOVE:.0%} of the training sets{share}. Not every unfamiliar set is marked.
"""


def _interval(value: Interval) -> str:
    if value.low is None or value.high is None:
        return f"{value.value:.3f}"
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _cell(values: Iterable[str]) -> str:
    """Names as the text of a table's cell; what they hold is not markup."""
    return (
        ", ".join("`" + value.replace("`", "'").replace("|", "/").replace("\n", " ") + "`" for value in values) or "-"
    )


def calibration_picture(config: PredictorConfig) -> bytes | None:
    """Share of right answers against P(correct) on held-out sets, as SVG; None without such sets or matplotlib."""
    if config.evaluation is None:
        return None
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        return None
    bins = config.evaluation.calibration
    most = max(one.sets for one in bins)
    # The same file for the same figures: no dates, no random names.
    with rc_context({"svg.hashsalt": "sgpu", "svg.fonttype": "none"}):
        figure = Figure(figsize=(4.5, 4), layout="constrained")
        axes = figure.add_subplot(xlim=(0, 1), ylim=(0, 1), xlabel="P(correct)", ylabel="share of right answers")
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        sizes = [20 + 180 * one.sets / most for one in bins]
        axes.scatter([one.p_correct for one in bins], [one.right for one in bins], s=sizes, alpha=0.7)
        axes.set_title(f"{config.evaluation.sets:,} held-out sets; area: sets in the bin", fontsize=9)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
