"""Scores of the graph over a set's answers: Laplacian spectra (Lin et al.), kernel language entropy (Nikitin et al.).

Each score is registered once for every kind of weights in `AFFINITIES`: ``eigv_jaccard``, ``eigv_cosine`` and so on.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sgpu_lightning.baselines.affinities import AFFINITIES, Affinity
from sgpu_lightning.baselines.inputs.set_group import SetGroup
from sgpu_lightning.baselines.registry import register
from sgpu_lightning.baselines.scores.spectral import von_neumann

ORDER = 4
ECCENTRICITY_THRESHOLD = 0.9
HEAT_TIME = 0.3
MATERN_NU, MATERN_KAPPA = 1.0, 1.0
_LIN = "Lin et al., TMLR 2024 (arXiv 2305.19187)"
_KLE = "Nikitin et al., NeurIPS 2024 (arXiv 2405.20003)"


def normalised_adjacency(weights: Tensor) -> Tensor:
    """Normalised adjacency D^-1/2 W D^-1/2 of weights W [b, n, n]; the normalised Laplacian is I minus it."""
    scale = weights.sum(-1).rsqrt()
    return weights * scale.unsqueeze(-1) * scale.unsqueeze(-2)


def eigenvalue_sum(weights: Tensor) -> Tensor:
    """Sum of max(0, 1 - lambda) over the eigenvalues lambda of the normalised Laplacian, [b]."""
    return torch.linalg.eigvalsh(normalised_adjacency(weights)).clamp_min(0.0).sum(-1)


def degree(weights: Tensor) -> Tensor:
    """Mean of 1 - W_ij over all i and j, [b]."""
    return 1.0 - weights.mean(dim=(1, 2))


def eccentricity(weights: Tensor, threshold: float = ECCENTRICITY_THRESHOLD) -> Tensor:
    """Frobenius norm of the centred eigenvectors of the normalised Laplacian with small eigenvalues, [b].

    Args:
        weights: Weights of the graphs, [b, n, n].
        threshold: Eigenvectors with eigenvalues below this are kept.
    """
    values, vectors = torch.linalg.eigh(normalised_adjacency(weights))
    centred = vectors - vectors.mean(dim=1, keepdim=True)
    kept = 1.0 - values < threshold
    return (centred.square().sum(dim=1) * kept).sum(-1).sqrt()


def laplacian_eigen(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues [b, n] >= 0 and eigenvectors [b, n, n] of the combinatorial Laplacian D - W."""
    values, vectors = torch.linalg.eigh(torch.diag_embed(weights.sum(-1)) - weights)
    return values.clamp_min(0.0), vectors


def kernel_entropy(kernel_values: Tensor, vectors: Tensor, least: float = 0.0) -> Tensor:
    """Von Neumann entropy of the normalised kernel K_ij / sqrt(K_ii K_jj) / n, in nats.

    Args:
        kernel_values: Eigenvalues of the kernel K, [b, n]; K is a matrix function of the Laplacian, not an
            element-wise one.
        vectors: Eigenvectors of K, [b, n, n].
        least: Eigenvalues of the normalised kernel up to this are left out.

    Returns:
        Float64 [b].
    """
    kernel = (vectors * kernel_values.unsqueeze(-2)) @ vectors.mT
    scale = kernel.diagonal(dim1=-2, dim2=-1).rsqrt()
    density = kernel * scale.unsqueeze(-1) * scale.unsqueeze(-2) / kernel.shape[-1]
    return von_neumann(torch.linalg.eigvalsh(density), least)


def heat_entropy(weights: Tensor, time: float = HEAT_TIME) -> Tensor:
    """Kernel language entropy of the heat kernel exp(-t L), [b]."""
    values, vectors = laplacian_eigen(weights)
    return kernel_entropy((-time * values).exp(), vectors)


def matern_entropy(weights: Tensor, nu: float = MATERN_NU, kappa: float = MATERN_KAPPA) -> Tensor:
    """Kernel language entropy of the Matern kernel (2 nu / kappa^2 I + L)^-nu, [b]."""
    values, vectors = laplacian_eigen(weights)
    return kernel_entropy((2 * nu / kappa**2 + values).pow(-nu), vectors)


@register(
    "kle_heat_lm_polygraph",
    sign=-1,
    low="that of n equal answers",
    high="1",
    needs=("nli",),
    source=f"{_KLE}; as lm-polygraph 0.7.0, KernelLanguageEntropy",
)
def kle_heat_lm_polygraph(group: SetGroup) -> Tensor:
    """Kernel language entropy over ln n, of the heat kernel on E + E^T + N / 2 (N: neutral, both directions)."""
    entail, contradict = (matrix + matrix.mT for matrix in (group.nli.entail, group.nli.contradict))
    weights = entail + 0.5 * (2.0 - entail - contradict)
    values, vectors = laplacian_eigen(weights)
    # lm-polygraph leaves out eigenvalues up to 1e-8.
    return kernel_entropy((-HEAT_TIME * values).exp(), vectors, least=1e-8) / math.log(group.count)


def _register_laplacian_scores(name: str, kind: Affinity, graph: str) -> None:
    lin = f"{_LIN}; as lm-polygraph 0.7.0 with Jaccard_score" if name == "jaccard" else _LIN

    @register(
        f"eigv_{name}",
        sign=-1,
        low="1",
        high="n",
        needs=kind.needs,
        source=lin,
        definition=f"Sum of max(0, 1 - lambda) over the eigenvalues lambda of the normalised Laplacian {graph}",
    )
    def eigv(group: SetGroup) -> Tensor:
        return eigenvalue_sum(kind.weights(group))

    @register(
        f"deg_{name}",
        sign=-1,
        low="0",
        high="1 - 1/n",
        needs=kind.needs,
        source=lin,
        definition=f"Mean of 1 - W over all pairs, i = j included, {graph}",
    )
    def deg(group: SetGroup) -> Tensor:
        return degree(kind.weights(group))

    @register(
        f"ecc_{name}",
        sign=-1,
        low="0",
        high="sqrt(n - 1)",
        needs=kind.needs,
        source=lin,
        definition=f"Norm of the centred eigenvectors, eigenvalue < 0.9, of the normalised Laplacian {graph}",
    )
    def ecc(group: SetGroup) -> Tensor:
        return eccentricity(kind.weights(group))


def _register_kernel_entropies(name: str, kind: Affinity, graph: str) -> None:
    @register(
        f"kle_heat_{name}",
        sign=-1,
        low="that of n equal answers, 1.30 for n = 10",
        high="ln n",
        needs=kind.needs,
        source=_KLE,
        definition=f"Von Neumann entropy of the normalised heat kernel exp(-0.3 L) {graph}",
    )
    def kle_heat(group: SetGroup) -> Tensor:
        return heat_entropy(kind.weights(group))

    @register(
        f"kle_matern_{name}",
        sign=-1,
        low="that of n equal answers, 1.99 for n = 10",
        high="ln n",
        needs=kind.needs,
        source=_KLE,
        definition=f"Von Neumann entropy of the normalised Matern kernel (2 I + L)^-1 {graph}",
    )
    def kle_matern(group: SetGroup) -> Tensor:
        return matern_entropy(kind.weights(group))


for _name, _kind in AFFINITIES.items():
    _graph = f"of the graph weighted by {_kind.words}"
    _register_laplacian_scores(_name, _kind, _graph)
    _register_kernel_entropies(_name, _kind, _graph)
