"""Conversion of a latent GP to its frozen form."""

from __future__ import annotations

import torch
from torch import Tensor

from sgpu_lightning.gp.frozen.frozen_gp import FrozenGP, FrozenTensors
from sgpu_lightning.gp.kernels import KernelName, correlation
from sgpu_lightning.gp.latent import LatentGP


def frozen_form(latent: LatentGP, kernel: KernelName, mean: Tensor, scale: Tensor) -> FrozenGP:
    """Return a plain module that predicts with the present parameters of a latent GP.

    With the whitened posterior N(m, S) and L L^T = k(Z, Z) + jitter: alpha = L^-T m, M = L^-T (S - I) L^-1. If
    gradients are enabled, they flow through these tensors to the parameters.

    Args:
        latent: The latent GP.
        kernel: The name of its kernel.
        mean: Mean that is subtracted from the features, [F].
        scale: Scale that the centred features are divided by, [F].
    """
    output_scale, length = latent.output_scale, latent.lengths
    points = latent.variational_strategy.inducing_points / length
    identity = torch.eye(len(points)).to(points)
    covariance = output_scale * correlation(points, points, kernel) + latent.jitter * identity
    inverse = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), identity, upper=False)
    posterior = latent.posterior
    tensors = FrozenTensors(
        mean=mean.clone(),
        inverse_scale=1.0 / (scale * length),
        inducing=points,
        alpha=inverse.mT @ posterior.mean,
        middle=inverse.mT @ (posterior.covariance - identity) @ inverse,
        constant=latent.mean_module.constant.reshape(()).clone(),
        output_scale=output_scale,
        diagonal=output_scale + latent.jitter,
        **latent.mean_basis.frozen(latent.mean_weights, length),
    )
    return FrozenGP(kernel, tensors, latent.mean_basis.base)
