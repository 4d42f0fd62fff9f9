"""Discrimination: whether right answers get a higher P(correct) than wrong ones.

Probabilities that agree to 12 decimals are ties, and a metric is its expected value over all orders of the ties, so
that neither the order of the data nor round-off changes a figure.

References:
    [Fawcett2006] Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 2006.
    [Nadeem2009] Nadeem et al., "Accuracy-Rejection Curves (ARCs) for Comparing Classification Methods with a Reject
    Option", MLSB 2009.
    [Lin2024] Lin et al., "Generating with Confidence: Uncertainty Quantification for Black-box Large Language Models",
    TMLR 2024.
    [Farquhar2024] Farquhar et al., "Detecting hallucinations in large language models using semantic entropy", Nature
    2024.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from sgpu_lightning.metrics.functional.probability_checks import check_inputs
from sgpu_lightning.metrics.functional.tally_counts import SLACK, Tally, harmonic_numbers, least_kept, right_of_top
from sgpu_lightning.metrics.functional.ties import average_over_ties


def auroc(probs: Tensor, labels: Tensor) -> Tensor:
    r"""Measure the area under the ROC curve of P(correct), see [Fawcett2006].

    .. math::
        \text{AUROC} = P(p_+ > p_-) + \tfrac{1}{2} P(p_+ = p_-)

    where :math:`p_+` is P(correct) of a right answer and :math:`p_-` of a wrong one. It is the Mann-Whitney statistic,
    over all pairs and without binning. (torchmetrics' ``binary_auroc`` returns single precision, where a perfect
    ranking may fall short of 1.)

    Args:
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.

    Returns:
        The area in [0, 1], a float64 scalar; 1 is best, 0.5 is chance. It is nan, with a warning, if all answers
        are right or all are wrong, because there is no pair to compare.

    Raises:
        ValueError: If ``probs`` or ``labels`` is not as described, or there are no answers.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics.functional import auroc
        >>> auroc(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]))
        tensor(0.8750, dtype=torch.float64)

    """
    probs, labels = check_inputs(probs, labels)
    if (labels == labels[0]).all():
        warnings.warn(
            f"AUROC is undefined: expected right and wrong answers, got {len(labels)} of label {int(labels[0])}. "
            "Returning nan.",
            UserWarning,
            stacklevel=2,
        )
        return probs.new_tensor(torch.nan)
    right = average_over_ties(probs, labels)
    ranks = torch.arange(1, len(right) + 1, device=right.device)
    num_right, num_wrong = labels.sum(), (1 - labels).sum()
    # The sum of the right answers' ranks, less the least possible sum of as many ranks, counts the pairs in order.
    pairs = (right * ranks).sum() - num_right * (num_right + 1) / 2
    return pairs / (num_right * num_wrong)


def auarc(probs: Tensor, labels: Tensor) -> Tensor:
    r"""Measure the area under the accuracy-rejection curve, see [Nadeem2009] and [Lin2024].

    .. math::
        \text{AUARC} = \frac{1}{n} \sum_{k=1}^{n} \text{acc}_k

    where :math:`\text{acc}_k` is the proportion of right answers among the k of highest P(correct), in expectation over
    the orders of ties. Without discrimination the area equals the accuracy, and the best possible area depends on the
    accuracy too, so compare it only on the same answers. The code of [Lin2024] applies the trapezoid rule to the same
    points, which differs by less than 1 / (n - 1); `aurac` is the other definition in use.

    Args:
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.

    Returns:
        The area in [0, 1], a float64 scalar; higher is better.

    Raises:
        ValueError: If ``probs`` or ``labels`` is not as described, or there are no answers.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics.functional import auarc
        >>> auarc(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]))
        tensor(0.7292, dtype=torch.float64)

    """
    return _accuracy_of_top(probs, labels).mean()


def aurac(probs: Tensor, labels: Tensor) -> Tensor:
    r"""Measure the area under the rejection-accuracy curve at 20 coverages from 0.1 to 1, as in [Farquhar2024].

    .. math::
        \text{AURAC} = \frac{0.9}{19} \sum_{i=0}^{19} \text{acc}_{k_i}, \qquad
        k_i = \lfloor (n - 1) q_i \rfloor + 1, \quad q_i = 0.1 + \frac{0.9}{19} i

    where :math:`\text{acc}_k` is the proportion of right answers among the k of highest P(correct), in expectation over
    the orders of ties; :math:`k_i` counts the answers up to the :math:`q_i`-quantile (linear interpolation) of
    uncertainty. The paper's code does the same, except that it keeps all answers tied at a quantile. The rectangle rule
    has 20 steps of 0.9 / 19, so that answers that are all right score 0.947; the figures differ from those of `auarc`.

    Args:
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.

    Returns:
        The area in [0, 18/19], a float64 scalar; higher is better.

    Raises:
        ValueError: If ``probs`` or ``labels`` is not as described, or there are no answers.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics.functional import aurac
        >>> aurac(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]))
        tensor(0.7303, dtype=torch.float64)

    """
    accuracy = _accuracy_of_top(probs, labels)
    # q_i = (19 + 9 i) / 190 in integers: (n - 1) q_i is often a whole number, and round-off would lose an answer.
    last = (len(accuracy) - 1) * (19 + 9 * torch.arange(20, device=accuracy.device)) // 190
    return accuracy[last].sum() * 0.9 / 19


def _accuracy_of_top(probs: Tensor, labels: Tensor) -> Tensor:
    """Expected accuracy of the k answers of highest P(correct) for k = 1 .. n, (n,)."""
    probs, labels = check_inputs(probs, labels)
    # On the CPU: CUDA's cumulative sum is refused where the trainer asks for deterministic algorithms.
    right = average_over_ties(probs, labels).flip(0).cpu()
    return (right.cumsum(0) / torch.arange(1, len(right) + 1, device=right.device)).to(probs.device)


def auroc_of_tally(counted: Tally) -> Tensor:
    """Tally form of `auroc`, float64 [R]; NaN if all answers of a resample are right or all are wrong."""
    below = counted.wrong.cumsum(1) - counted.wrong
    pairs = (counted.right * (below + counted.wrong / 2)).sum(1)
    return pairs / (counted.right.sum(1) * counted.wrong.sum(1))


def auarc_of_tally(counted: Tally, max_rejection: float = 1.0) -> Tensor:
    """Tally form of `auarc`, float64 [R].

    Args:
        counted: The answers.
        max_rejection: The mean is taken over the k that reject at most this proportion of the answers, in (0, 1].
    """
    size, _, above, right_above = counted.from_top
    least = least_kept(counted.total, max_rejection)
    low, high = torch.maximum(above, least), torch.maximum(above + size, least)
    # Within a group of ties, the accuracy of the top k is (a + s k) / k, which sums to harmonic numbers.
    harmonic = harmonic_numbers(counted.total)
    rest = right_above - counted.tie_accuracy * above
    sums = rest * (harmonic[high.long()] - harmonic[low.long()]) + counted.tie_accuracy * (high - low)
    return sums.sum(1) / (counted.total - least.squeeze(1))


def aurac_of_tally(counted: Tally) -> Tensor:
    """Tally form of `aurac`, float64 [R]."""
    coverage = (19 + 9 * torch.arange(20, dtype=torch.float64)) / 190
    places = ((counted.total.unsqueeze(1) - 1) * coverage + SLACK).floor() + 1
    return (right_of_top(counted, places) / places).sum(1) * 0.9 / 19
