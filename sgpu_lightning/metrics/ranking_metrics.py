"""Discrimination as torchmetrics classes."""

from __future__ import annotations

from torch import Tensor

from sgpu_lightning.metrics.functional.ranking import auarc, aurac, auroc
from sgpu_lightning.metrics.metric_base import ProbabilityMetric


class AUROC(ProbabilityMetric):
    r"""Compute the area under the ROC curve of P(correct) (Fawcett, 2006).

    .. math::
        \text{AUROC} = P(p_+ > p_-) + \tfrac{1}{2} P(p_+ = p_-)

    See `functional.auroc` for the definition and `ProbabilityMetric` for inputs and output; 1 is best, and it is
    nan, with a warning, if all answers are right or all are wrong.

    Args:
        kwargs: Additional keyword arguments of :class:`torchmetrics.Metric`.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics import AUROC
        >>> metric = AUROC()
        >>> metric(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]))
        tensor(0.8750, dtype=torch.float64)

    """

    higher_is_better: bool = True
    plot_upper_bound: float = 1.0

    def _score(self, probs: Tensor, labels: Tensor) -> Tensor:
        return auroc(probs, labels)


class AUARC(ProbabilityMetric):
    r"""Compute the area under the accuracy-rejection curve (Lin et al., TMLR 2024).

    .. math::
        \text{AUARC} = \frac{1}{n} \sum_{k=1}^{n} \text{acc}_k

    where :math:`\text{acc}_k` is the accuracy of the k answers of highest P(correct), averaged over the orders of ties.
    See `functional.auarc` for the definition and `ProbabilityMetric` for inputs and output; higher is better.

    Args:
        kwargs: Additional keyword arguments of :class:`torchmetrics.Metric`.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics import AUARC
        >>> metric = AUARC()
        >>> metric(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]))
        tensor(0.7292, dtype=torch.float64)

    """

    higher_is_better: bool = True
    plot_upper_bound: float = 1.0

    def _score(self, probs: Tensor, labels: Tensor) -> Tensor:
        return auarc(probs, labels)


class AURAC(ProbabilityMetric):
    r"""Compute the area under the rejection-accuracy curve at 20 coverages (Farquhar et al., Nature 2024).

    .. math::
        \text{AURAC} = \frac{0.9}{19} \sum_{i=0}^{19} \text{acc}_{k_i}, \qquad
        k_i = \lfloor (n - 1) q_i \rfloor + 1, \quad q_i = 0.1 + \frac{0.9}{19} i

    The figures differ from those of `AUARC`: answers that are all right score 0.947. See `functional.aurac` for the
    definition and `ProbabilityMetric` for inputs and output; higher is better.

    Args:
        kwargs: Additional keyword arguments of :class:`torchmetrics.Metric`.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics import AURAC
        >>> metric = AURAC()
        >>> metric(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]))
        tensor(0.7303, dtype=torch.float64)

    """

    higher_is_better: bool = True
    plot_upper_bound: float = 1.0

    def _score(self, probs: Tensor, labels: Tensor) -> Tensor:
        return aurac(probs, labels)
