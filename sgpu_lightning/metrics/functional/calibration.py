"""Calibration errors: how far P(correct) is from the share of right answers.

References:
    [Guo2017] Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    [Naeini2015] Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015.
    [Nguyen2015] Nguyen and O'Connor, "Posterior calibration and exploratory analysis for natural language processing
    models", EMNLP 2015.
    [Nixon2019] Nixon et al., "Measuring Calibration in Deep Learning", CVPR Workshops 2019.
    [Broecker2007] Bröcker and Smith, "Increasing the Reliability of Reliability Diagrams", Weather and Forecasting
    2007.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sgpu_lightning.metrics.functional.checks import (
    average_over_ties,
    check_count,
    check_inputs,
    check_probs,
    drop_round_off,
)

# Uniform draws held at once while resampling: 32 MiB in float64.
_MAX_DRAWS = 2**22


def calibration_error(probs: Tensor, labels: Tensor, num_bins: int = 15) -> Tensor:
    r"""Measure the expected calibration error (ECE) in bins of equal width, see [Naeini2015] and [Guo2017].

    .. math::
        \text{ECE} = \sum_{b=1}^{B} \frac{n_b}{n} \left| \text{acc}_b - \text{conf}_b \right|

    where :math:`\text{acc}_b` is the share of right answers and :math:`\text{conf}_b` the mean P(correct) of the
    :math:`n_b` answers in bin b. Bin b is :math:`[(b-1)/B, b/B)`; the last one is closed, so it holds P(correct) = 1.
    Probabilities within 1e-12 of an edge count as on it. Read it beside `calibration_noise_floor`.

    Args:
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.
        num_bins: The number of bins B.

    Returns:
        The error in [0, 1], a float64 scalar; 0 is best.

    Raises:
        ValueError: If ``probs``, ``labels`` or ``num_bins`` is not as described, or there are no answers.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics.functional import calibration_error
        >>> calibration_error(tensor([0.25, 0.25, 0.75, 1.0]), tensor([0, 1, 1, 1]), num_bins=2)
        tensor(0.1875, dtype=torch.float64)

    """
    probs, labels = check_inputs(probs, labels)
    return _binned_error(labels - probs, _equal_width_bins(probs, num_bins), num_bins)


def adaptive_calibration_error(probs: Tensor, labels: Tensor, num_bins: int = 15) -> Tensor:
    r"""Measure the calibration error in bins that hold equally many answers, see [Nguyen2015] and [Nixon2019].

    .. math::
        \text{ACE} = \sum_{b=1}^{B} \frac{n_b}{n} \left| \text{acc}_b - \text{conf}_b \right|

    as in `calibration_error`, but bin b holds the answers of ranks :math:`(b-1)n/B \ldots bn/B` by P(correct), so no
    bin rests on a handful of answers. With fewer answers than bins each answer is a bin. Answers of equal P(correct)
    that lie on both sides of an edge count with the mean label of all of them: their order in the data says nothing.

    Args:
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.
        num_bins: The number of bins B.

    Returns:
        The error in [0, 1], a float64 scalar; 0 is best.

    Raises:
        ValueError: If ``probs``, ``labels`` or ``num_bins`` is not as described, or there are no answers.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics.functional import adaptive_calibration_error
        >>> adaptive_calibration_error(tensor([0.5, 0.75, 0.75, 1.0]), tensor([0, 1, 0, 1]), num_bins=2)
        tensor(0.2500, dtype=torch.float64)

    """
    probs, labels = check_inputs(probs, labels)
    check_count("num_bins", num_bins)
    gaps = average_over_ties(probs, labels - probs)
    bins = torch.arange(len(gaps), device=gaps.device) * num_bins // len(gaps)
    return _binned_error(gaps, bins, num_bins)


def calibration_noise_floor(probs: Tensor, num_bins: int = 15, num_resamples: int = 200, seed: int = 0) -> Tensor:
    r"""Measure the `calibration_error` that a perfectly calibrated predictor would show, as in [Broecker2007].

    .. math::
        \mathbb{E}_{\tilde{y}_i \sim \text{Bernoulli}(p_i)} \left[ \text{ECE}(p, \tilde{y}) \right]

    estimated as the mean over resampled label sets. With finitely many answers it is above 0, near
    :math:`\sqrt{B / n}` times a constant: an ECE at or below it is no evidence of miscalibration. It does not depend on
    the order of the answers, on the device, or on the state of the global generators.

    Args:
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        num_bins: The number of bins B of the error it is compared with.
        num_resamples: The number of label sets drawn. With 200 the standard error is 1 to 2 % of the floor
            where all 15 bins are in use, 5 % where one is.
        seed: Starts the generator that draws them.

    Returns:
        The mean error in [0, 1], a float64 scalar.

    Raises:
        ValueError: If ``probs``, ``num_bins`` or ``num_resamples`` is not as described, or there are no answers.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics.functional import calibration_noise_floor
        >>> calibration_noise_floor(tensor([0.5]))
        tensor(0.5000, dtype=torch.float64)
        >>> calibration_noise_floor(tensor([0.25, 0.25, 0.75, 1.0]), num_bins=2)
        tensor(0.2263, dtype=torch.float64)

    """
    check_count("num_resamples", num_resamples)
    probs = check_probs(probs).detach()
    # Sorted, so that the draws do not depend on the order of the data, and every bin is one slice.
    ordered = probs.cpu().sort().values
    sizes = _equal_width_bins(ordered, num_bins).bincount(minlength=num_bins).tolist()
    generator = torch.Generator().manual_seed(seed)
    errors = ordered.new_zeros(num_resamples)
    for members in torch.split(ordered, sizes):
        if len(members):
            errors += (_resample_sums(members, num_resamples, generator) - members.sum()).abs()
    return (errors.mean() / len(ordered)).to(probs.device)


def _resample_sums(probs: Tensor, num_resamples: int, generator: torch.Generator) -> Tensor:
    """The number of right answers among ``probs`` in each of the label sets drawn from them, (num_resamples,)."""
    rows = max(1, _MAX_DRAWS // len(probs))
    sums = []
    for start in range(0, num_resamples, rows):
        shape = (min(rows, num_resamples - start), len(probs))
        draws = torch.rand(shape, generator=generator, dtype=probs.dtype, device=probs.device)
        sums.append((draws < probs).sum(dim=1))
    return torch.cat(sums)


def _equal_width_bins(probs: Tensor, num_bins: int) -> Tensor:
    """The index in 0 .. num_bins - 1 of the bin each probability falls in, (n,)."""
    check_count("num_bins", num_bins)
    edges = torch.arange(1, num_bins, dtype=probs.dtype, device=probs.device) / num_bins
    return torch.bucketize(drop_round_off(probs), drop_round_off(edges), right=True)


def _binned_error(gaps: Tensor, bins: Tensor, num_bins: int) -> Tensor:
    """The L1 error of label - P(correct) in bins: n_b / n * |acc_b - conf_b| is the bin's |sum of gaps| / n."""
    return gaps.new_zeros(num_bins).index_add(0, bins, gaps).abs().sum() / len(gaps)
