"""Calibration errors, the expected calibration error (ECE) first: how far P(correct) is from the proportion right.

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

from sgpu_lightning.metrics.functional.probability_checks import check_count, check_inputs, check_probs
from sgpu_lightning.metrics.functional.tally_counts import SLACK, Tally
from sgpu_lightning.metrics.functional.ties import average_over_ties, drop_round_off

# Uniform draws held at once while resampling: 32 MiB in float64.
_MAX_DRAWS = 2**22


def expected_calibration_error(probs: Tensor, labels: Tensor, num_bins: int = 15) -> Tensor:
    r"""Measure the expected calibration error (ECE) in bins of equal width, see [Naeini2015] and [Guo2017].

    .. math::
        \text{ECE} = \sum_{b=1}^{B} \frac{n_b}{n} \left| \text{acc}_b - \text{conf}_b \right|

    where :math:`\text{acc}_b` is the proportion of right answers and :math:`\text{conf}_b` the mean P(correct) of the
    :math:`n_b` answers in bin b. Bin b is :math:`[(b-1)/B, b/B)`; the last bin is closed, so it holds P(correct) = 1.
    Probabilities within 1e-12 of an edge count as on it. Compare the error with `calibration_noise_floor`.
    `calibration_error` is the same function.

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
        >>> from sgpu_lightning.metrics.functional import expected_calibration_error
        >>> expected_calibration_error(tensor([0.25, 0.25, 0.75, 1.0]), tensor([0, 1, 1, 1]), num_bins=2)
        tensor(0.1875, dtype=torch.float64)

    """
    probs, labels = check_inputs(probs, labels)
    return _binned_error(labels - probs, _equal_width_bins(probs, num_bins), num_bins)


calibration_error = expected_calibration_error


def adaptive_calibration_error(probs: Tensor, labels: Tensor, num_bins: int = 15) -> Tensor:
    r"""Measure the calibration error in bins that hold equally many answers, see [Nguyen2015] and [Nixon2019].

    .. math::
        \text{ACE} = \sum_{b=1}^{B} \frac{n_b}{n} \left| \text{acc}_b - \text{conf}_b \right|

    as in `expected_calibration_error`, but bin b holds the answers of ranks :math:`(b-1)n/B \ldots bn/B` by P(correct),
    so no bin consists of only a few answers. With fewer answers than bins, each answer is a bin. If an edge falls
    between tied answers, each of them counts with the mean label of the ties, so that the order of the data does not
    matter.

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
    r"""Measure the `expected_calibration_error` that a perfectly calibrated predictor would show, as in [Broecker2007].

    .. math::
        \mathbb{E}_{\tilde{y}_i \sim \text{Bernoulli}(p_i)} \left[ \text{ECE}(p, \tilde{y}) \right]

    estimated as the mean over resampled label sets. With finitely many answers it is above 0, about
    :math:`\sqrt{B / n}` times a constant; an ECE at or below it is no evidence of miscalibration. It does not depend on
    the order of the answers, on the device, or on the state of the global random generators.

    Args:
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        num_bins: The number of bins B of the calibration error it is compared with.
        num_resamples: The number of label sets drawn. With 200 the standard error is 1 to 2 % of the floor
            if all 15 bins are in use, and 5 % if only one is.
        seed: Random seed of the draws.

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
    # Sorted, so that the draws do not depend on the order of the data and every bin is one slice.
    ordered = probs.cpu().sort().values
    sizes = _equal_width_bins(ordered, num_bins).bincount(minlength=num_bins).tolist()
    generator = torch.Generator().manual_seed(seed)
    errors = ordered.new_zeros(num_resamples)
    for in_bin in torch.split(ordered, sizes):
        if len(in_bin):
            errors += (_resample_sums(in_bin, num_resamples, generator) - in_bin.sum()).abs()
    return (errors.mean() / len(ordered)).to(probs.device)


def _resample_sums(probs: Tensor, num_resamples: int, generator: torch.Generator) -> Tensor:
    """Number of right answers in each label set drawn from ``probs``, (num_resamples,)."""
    rows = max(1, _MAX_DRAWS // len(probs))
    sums = []
    for start in range(0, num_resamples, rows):
        shape = (min(rows, num_resamples - start), len(probs))
        draws = torch.rand(shape, generator=generator, dtype=probs.dtype, device=probs.device)
        sums.append((draws < probs).sum(dim=1))
    return torch.cat(sums)


def _equal_width_bins(probs: Tensor, num_bins: int) -> Tensor:
    """Index in 0 .. num_bins - 1 of the bin that each probability falls in, (n,)."""
    check_count("num_bins", num_bins)
    edges = torch.arange(1, num_bins, dtype=probs.dtype, device=probs.device) / num_bins
    return torch.bucketize(drop_round_off(probs), drop_round_off(edges), right=True)


def _binned_error(gaps: Tensor, bins: Tensor, num_bins: int) -> Tensor:
    """L1 calibration error of gaps = label - P(correct): n_b / n * |acc_b - conf_b| is |sum of the bin's gaps| / n."""
    return gaps.new_zeros(num_bins).index_add(0, bins, gaps).abs().sum() / len(gaps)


def ece_of_tally(counted: Tally, num_bins: int = 15) -> Tensor:
    """Tally form of `expected_calibration_error`, float64 [R].

    Args:
        counted: The answers.
        num_bins: The number of bins B.
    """
    bins = _equal_width_bins(counted.probs, num_bins)
    gaps = counted.right - counted.size * counted.probs
    return gaps.new_zeros(len(gaps), num_bins).index_add(1, bins, gaps).abs().sum(1) / counted.total


def ace_of_tally(counted: Tally, num_bins: int = 15) -> Tensor:
    """Tally form of `adaptive_calibration_error`, float64 [R].

    Args:
        counted: The answers.
        num_bins: The number of bins B.
    """
    gaps = counted.right - counted.size * counted.probs
    ends, sums = counted.size.cumsum(1), gaps.cumsum(1)
    # Bin b starts at the first rank that is at least b n / B.
    steps = torch.arange(num_bins + 1, dtype=torch.float64)
    edges = (steps * counted.total.unsqueeze(1) / num_bins - SLACK).ceil().clamp_min(0.0)
    tie = torch.searchsorted(ends, edges).clamp_max(ends.shape[1] - 1)
    size, gap, end, total = (values.gather(1, tie) for values in (counted.size, gaps, ends, sums))
    # Sum of the gaps up to an edge; answers of the ties that it divides count with their mean.
    up_to = total - gap * (end - edges) / size.clamp_min(1.0)
    return up_to.diff(dim=1).abs().sum(1) / counted.total
