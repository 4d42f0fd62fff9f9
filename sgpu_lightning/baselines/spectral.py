"""Scores of the eigenvalues of the answers' Gram matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from sgpu_lightning.baselines.lexical import rouge_l_matrix
from sgpu_lightning.baselines.registry import register
from sgpu_lightning.baselines.score_inputs import SetGroup
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.gram_kernels import gram_matrix
from sgpu_lightning.features.spectrum import eigenspectrum

EIGENSCORE_ALPHA = 1e-3
LOGDET_EPSILON = 1e-6
SNNE_TAU = 0.1
_INSIDE = "Chen et al., INSIDE, ICLR 2024 (arXiv 2402.03744)"
_SNNE = "Nguyen et al., Findings of ACL 2025 (arXiv 2506.00245)"


def von_neumann(eigenvalues: Tensor, least: float = 0.0) -> Tensor:
    """- sum of lambda ln lambda over eigenvalues [b, n] above ``least``, in nats, [b]."""
    kept = torch.where(eigenvalues > least, eigenvalues, 0.0)
    return -torch.special.xlogy(kept, kept).sum(-1)


def soft_neighbours(similarity: Tensor, tau: float) -> Tensor:
    """- mean over i of logsumexp over j, i included, of similarity_ij / tau; [b, n, n] to [b]."""
    return -(similarity / tau).logsumexp(dim=2).mean(1)


@register(
    "von_neumann_entropy",
    sign=-1,
    low="0",
    high="ln n",
    needs=("vectors",),
    source="the entropy of a density matrix (von Neumann, 1927)",
)
def von_neumann_entropy(group: SetGroup) -> Tensor:
    """Von Neumann entropy of the cosine Gram matrix over n."""
    return von_neumann(eigenspectrum(gram_matrix(group.cosines)))


@register(
    "von_neumann_entropy_rbf", sign=-1, low="0", high="ln n", needs=("vectors",), source="arXiv 2509.22272, gamma = 1"
)
def von_neumann_entropy_rbf(group: SetGroup) -> Tensor:
    """Von Neumann entropy of the RBF Gram matrix exp(-d^2) over n, d the distances of the unit vectors."""
    return von_neumann(eigenspectrum(gram_matrix(group.cosines, gram_kernel="rbf", gamma=1.0)))


def centred_covariance(group: SetGroup) -> Tensor:
    """Z (I_d - 11^T / d) Z^T of the vectors as they are, float64 [b, n, n].

    Raises:
        SGPUError: If a vector is not finite.
    """

    def make() -> Tensor:
        """Inner products of the centred vectors, [B, N, N]."""
        # In blocks whose float64 copy stays in cache.
        sets = max(1, 2**18 // (group.count * group.vectors.shape[-1]))
        matrix = torch.cat([_centred_products(part.double()) for part in torch.split(group.vectors, sets)])
        if not torch.isfinite(matrix).all():
            raise SGPUError("vectors: expected finite numbers, got NaN or infinity; check what made the vectors")
        return matrix

    return group.remember("centred covariance", lambda: make().cpu())


def _centred_products(vectors: Tensor) -> Tensor:
    sums = vectors.sum(-1)
    return torch.baddbmm(sums.unsqueeze(-1) * sums.unsqueeze(-2), vectors, vectors.mT, beta=-1.0 / vectors.shape[-1])


@register(
    "eigenscore",
    sign=-1,
    low="ln 0.001",
    high="grows with the vectors' lengths",
    needs=("vectors",),
    source=f"{_INSIDE}; as lm-polygraph 0.7.0, EigenScore",
)
def eigenscore(group: SetGroup) -> Tensor:
    """Mean ln of the eigenvalues of the centred covariance + 0.001 I (vectors not normalised)."""
    values = torch.linalg.eigvalsh(centred_covariance(group)) + EIGENSCORE_ALPHA
    return torch.where(values > 0, values, 1e-10).log().mean(-1)


@register(
    "eigenscore_inside",
    sign=-1,
    low="-3",
    high="grows with the vectors' lengths",
    needs=("vectors",),
    source=f"{_INSIDE}; the authors' code",
)
def eigenscore_inside(group: SetGroup) -> Tensor:
    """Mean log10 of the singular values of the centred covariance / (d - 1) + 0.001 I (vectors not normalised)."""
    covariance = centred_covariance(group) / (group.vectors.shape[-1] - 1)
    # Of a symmetric matrix, singular values are the absolute eigenvalues.
    return (torch.linalg.eigvalsh(covariance) + EIGENSCORE_ALPHA).abs().log10().mean(-1)


@register(
    "logdet",
    sign=-1,
    low="(ln n + (n - 1) ln 1e-6) / 2n",
    high="ln(1 + 1e-6) / 2",
    needs=("vectors",),
    source="the semantic volume of UMPIRE, Lau et al. (arXiv 2602.24195), without its likelihood term",
)
def logdet(group: SetGroup) -> Tensor:
    """(1 / 2n) ln det(cosine Gram matrix + 1e-6 I)."""
    values = torch.linalg.eigvalsh(group.cosines).clamp_min(0.0) + LOGDET_EPSILON
    return values.log().mean(-1) / 2


@register("snne", sign=-1, low="-10 - ln n", high="-10", needs=("vectors",), source=f"{_SNNE}, tau = 0.1 on cosines")
def snne(group: SetGroup) -> Tensor:
    """- mean over i of the logsumexp over j, i included, of the cosines / 0.1."""
    return soft_neighbours(group.cosines, SNNE_TAU)


@register("snne_rouge", sign=-1, low="-1 - ln n", high="-ln(e + n - 1)", source=f"{_SNNE}, tau = 1 on ROUGE-L")
def snne_rouge(group: SetGroup) -> Tensor:
    """- mean over i of the logsumexp over j, i included, of the ROUGE-L F1 of answers i and j."""
    return soft_neighbours(rouge_l_matrix(group), 1.0)
