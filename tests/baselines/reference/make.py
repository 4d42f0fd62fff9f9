"""Make the stored numbers: what lm-polygraph 0.7.0 and uqlm 0.6.7 give for made-up answer sets.

The packages pull in far more than their formulas need, so they are installed without dependencies into a folder of
their own, and single modules are imported past the packages' ``__init__``:

    pip install --no-deps --target REFERENCE lm-polygraph==0.7.0 uqlm==0.6.7 rouge-score==0.1.2 absl-py six
    PYTHONPATH=REFERENCE python tests/baselines/reference/make.py

Run it with an environment that has numpy, scipy, nltk, rich and torch.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = ("lm-polygraph", "uqlm", "rouge-score", "nltk", "numpy", "scipy")
FOLDERS = (
    *("lm_polygraph", "lm_polygraph.estimators", "lm_polygraph.stat_calculators", "lm_polygraph.ue_metrics"),
    *("lm_polygraph.utils", "uqlm", "uqlm.black_box", "uqlm.black_box.baseclass"),
)
TEXTS = [
    ["Paris", "Paris", "Paris", "Paris", "Paris"],
    ["red", "a blue one", "seven", "Lake Geneva", "nothing"],
    ["the running dogs", "The dog runs", "a dog", "The dog runs", "running dogs run quickly"],
    ["", "an answer", "", "An  answer.", "the answer is given here and now"],
    ["$400", "400", "400 dollars", "four hundred", "It is 400"],
    ["Ärger über Öl", "東京", "東京", "arger uber ol", "generalization of generalizations"],
    ["he was born in the city of New York in 1921", "New York", "in New York city", "York, new", "1921"],
    ["b", "a", "b", "a", "c"],
]
SCORED = ["Paris", "red", "The dog runs", "answer", "400", "東京", "New York", "b"]


def reach(package: str) -> None:
    """Make a package's folder importable without running its ``__init__``."""
    folder = Path(*package.split("."))
    module = types.ModuleType(package)
    module.__path__ = [str(Path(entry) / folder) for entry in sys.path if (Path(entry) / folder).is_dir()]
    sys.modules[package] = module


def made_up(seed: int = 0) -> dict[str, Any]:
    """Vectors, NLI logits, similarities and likelihoods of `TEXTS`."""
    rng = np.random.default_rng(seed)
    sets, n, d = len(TEXTS), len(TEXTS[0]), 7
    spread = np.linspace(0.0, 2.0, sets)[:, None, None]  # the first set agrees entirely
    vectors = rng.normal(size=(sets, 1, d)) + spread * rng.normal(size=(sets, n, d))
    logits = 2.0 * rng.normal(size=(sets, n, n, 3))
    similarity = rng.uniform(size=(sets, n, n))
    similarity = (similarity + similarity.transpose(0, 2, 1)) / 2
    similarity[:, np.arange(n), np.arange(n)] = 1.0
    tokens = rng.integers(1, 9, size=(sets, n))
    return {
        "texts": TEXTS,
        "scored_texts": SCORED,
        "vectors": vectors.tolist(),
        "scored_vectors": (vectors[:, 0] + rng.normal(size=(sets, d))).tolist(),
        "nli_logits": logits.tolist(),
        "scored_nli_logits": rng.normal(size=(sets, n, 3)).tolist(),
        "similarity": similarity.tolist(),
        "logprobs": (-tokens * rng.uniform(0.1, 1.5, size=(sets, n))).tolist(),
        "answer_tokens": tokens.tolist(),
        "greedy_token_logprobs": [(-rng.uniform(0.1, 1.5, size=k)).tolist() for k in rng.integers(1, 6, size=sets)],
        "token_entropies": [rng.uniform(0, 3, size=k).tolist() for k in rng.integers(1, 6, size=sets)],
        "p_true": rng.uniform(size=sets).tolist(),
    }


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    powers = np.exp(logits)
    return powers / powers.sum(-1, keepdims=True)


def polygraph_inputs(data: dict[str, Any]) -> dict[str, Any]:
    """The statistics that lm-polygraph's estimators take."""
    logits, scored = np.array(data["nli_logits"]), softmax(np.array(data["scored_nli_logits"]))
    chances, n = softmax(logits), logits.shape[1]
    calculator = load("lm_polygraph.stat_calculators.semantic_classes").SemanticClassesCalculator()
    classes = calculator(
        {"sample_texts": data["texts"], "semantic_matrix_classes": logits.argmax(-1), "entailment_id": 2}, [], None
    )
    unit = np.eye(n, dtype=bool)
    return classes | {
        "sample_texts": data["texts"],
        "sample_embeddings": np.array(data["vectors"]),
        "semantic_matrix_entail": chances[..., 2],
        "semantic_matrix_contra": chances[..., 0],
        "semantic_matrix_entail_unit": np.where(unit, 1.0, chances[..., 2]),
        "semantic_matrix_contra_unit": np.where(unit, 0.0, chances[..., 0]),
        "semantic_matrix_entail_logits": logits[..., 2],
        "semantic_matrix_contra_logits": logits[..., 0],
        "greedy_semantic_matrix_contra_forward": scored[..., 0],
        "greedy_semantic_matrix_neutral_forward": scored[..., 1],
        "sample_log_probs": data["logprobs"],
        "sample_tokens": [[list(range(k)) for k in row] for row in data["answer_tokens"]],
        "greedy_log_likelihoods": data["greedy_token_logprobs"],
        "sample_sentence_similarity": np.array(data["similarity"]),
        "entropy": data["token_entropies"],
        "p_true": data["p_true"],
    }


def load(name: str) -> Any:
    """A module."""
    return importlib.import_module(name)


def estimator(module: str, name: str, **arguments: Any) -> Any:
    """An estimator of lm-polygraph."""
    return getattr(load(f"lm_polygraph.estimators.{module}"), name)(**arguments)


def polygraph_numbers(data: dict[str, Any]) -> dict[str, list[float]]:
    """Uncertainties by the name of our score."""
    given = polygraph_inputs(data)
    unit = given | {
        "semantic_matrix_entail": given["semantic_matrix_entail_unit"],
        "semantic_matrix_contra": given["semantic_matrix_contra_unit"],
    }
    graph = {"eigv": "eig_val_laplacian", "deg": "deg_mat", "ecc": "eccentricity"}
    names = {"eigv": "EigValLaplacian", "deg": "DegMat", "ecc": "Eccentricity"}
    kinds = {
        "jaccard": ("Jaccard_score", "entail"),
        "nli": ("NLI_score", "entail"),
        "nli_contra": ("NLI_score", "contra"),
    }
    numbers = {
        f"{score}_{kind}": estimator(module, names[score], similarity_score=how, affinity=affinity)(unit)
        for score, module in graph.items()
        for kind, (how, affinity) in kinds.items()
    }
    metrics = {"": "rougeL", "_rouge1": "rouge1", "_rouge2": "rouge2", "_bleu": "BLEU"}
    for suffix, metric in metrics.items():
        numbers[f"lexical_similarity{suffix}"] = estimator("lexical_similarity", "LexicalSimilarity", metric=metric)(
            given
        )
    others = {
        "num_sets": ("num_sem_sets", "NumSemSets", {}),
        "eigenscore": ("eigenscore", "EigenScore", {}),
        "kle_heat_lm_polygraph": ("kernel_language_entropy", "KernelLanguageEntropy", {}),
        "semantic_density": ("semantic_density", "SemanticDensity", {"concat_input": False}),
        "sentence_sar_given": ("sentence_sar", "SentenceSAR", {}),
        "luq": ("luq", "LUQ", {}),
        "semantic_entropy_kuhn": ("semantic_entropy", "SemanticEntropy", {}),
        "perplexity": ("perplexity", "Perplexity", {}),
        "sequence_probability": ("max_probability", "MaximumSequenceProbability", {}),
        "sequence_entropy": ("monte_carlo_sequence_entropy", "MonteCarloSequenceEntropy", {}),
        "sequence_entropy_normalised": (
            "monte_carlo_normalized_sequence_entropy",
            "MonteCarloNormalizedSequenceEntropy",
            {},
        ),
        "mean_token_entropy": ("token_entropy", "MeanTokenEntropy", {}),
        "p_true": ("p_true", "PTrue", {}),
    }
    for score, (module, name, arguments) in others.items():
        numbers[score] = estimator(module, name, **arguments)(given)
    return {name: np.asarray(values, dtype=float).tolist() for name, values in numbers.items()}


def uqlm_numbers(data: dict[str, Any]) -> dict[str, list[float]]:
    """Confidences by the name of our score."""
    match, cosine = load("uqlm.black_box.match").MatchScorer(), load("uqlm.black_box.cosine").CosineScorer
    scorer = object.__new__(cosine)  # its constructor fetches a model; the vectors are ours
    numbers: dict[str, list[float]] = {"exact_match": match.evaluate(data["scored_texts"], data["texts"])}
    similar = []
    for scored, vectors in zip(data["scored_vectors"], data["vectors"], strict=True):
        scorer.max_length = 2000
        scorer._get_embeddings = lambda one, other, a=scored, b=vectors: (np.array([a] * len(b)), np.array(b))
        similar.append(np.mean(scorer._compute_score(response="", candidates=[""] * len(vectors))))
    return {
        name: np.asarray(values, dtype=float).tolist()
        for name, values in (numbers | {"mean_cosine_uqlm": similar}).items()
    }


def metric_numbers(seed: int = 1) -> dict[str, Any]:
    """Prediction-rejection and risk-coverage areas of lm-polygraph, for confidences without ties."""
    area, risk = (load(f"lm_polygraph.ue_metrics.{name}") for name in ("pred_rej_area", "risk_cov_curve"))
    rng = np.random.default_rng(seed)
    probs = rng.uniform(size=60)
    labels = (rng.uniform(size=60) < probs).astype(float)
    result: dict[str, Any] = {"probs": probs.tolist(), "labels": labels.tolist()}
    for most in (1.0, 0.5):
        metric = area.PredictionRejectionArea(max_rejection=most)
        result[f"area {most}"] = float(metric(-probs, labels))
        result[f"oracle {most}"] = float(metric(-labels, labels))
    result["risk-coverage area"] = float(risk.RiskCoverageCurveAUC()(-probs, labels))
    return result


def main() -> None:
    """Write ``numbers.json`` beside this file, and the metrics' numbers beside the tests of metrics."""
    for folder in FOLDERS:
        reach(folder)
    here = Path(__file__).parent
    data = made_up()
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    numbers = {
        "versions": versions,
        "inputs": data,
        "lm-polygraph": polygraph_numbers(data),
        "uqlm": uqlm_numbers(data),
    }
    (here / "numbers.json").write_text(json.dumps(numbers, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    metrics = {"versions": versions} | metric_numbers()
    (here.parents[1] / "metrics" / "reference.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
