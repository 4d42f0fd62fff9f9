"""The calibration plot beside a predictor's model card."""

from __future__ import annotations

import io

from sgpu_lightning.predictor.artefact.predictor_config import PredictorConfig


def calibration_plot(config: PredictorConfig) -> bytes | None:
    """Plot the proportion of right answers against P(correct) on held-out sets, as SVG.

    Args:
        config: The predictor's config.

    Returns:
        The SVG file; None without held-out sets or without matplotlib.
    """
    if config.evaluation is None:
        return None
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        return None
    bins = config.evaluation.calibration
    most = max(one.sets for one in bins)
    # The same numbers give the same file: it holds no date and no random names.
    with rc_context({"svg.hashsalt": "sgpu", "svg.fonttype": "none"}):
        figure = Figure(figsize=(4.5, 4), layout="constrained")
        axes = figure.add_subplot(xlim=(0, 1), ylim=(0, 1), xlabel="P(correct)", ylabel="proportion of right answers")
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        sizes = [20 + 180 * one.sets / most for one in bins]
        axes.scatter([one.p_correct for one in bins], [one.right for one in bins], s=sizes, alpha=0.7)
        axes.set_title(f"{config.evaluation.sets:,} held-out sets; area: number of sets in the bin", fontsize=9)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
