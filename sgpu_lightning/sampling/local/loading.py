"""Loading models with their tokenizers or processors, from the hub or from a folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from sgpu_lightning.errors import SamplingError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, ProcessorMixin

    from sgpu_lightning.sampling.local.prompt import TextEncoder

_DTYPES = ("auto", "float32", "bfloat16", "float16")


def load_model(
    name_or_path: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    trust_remote_code: bool = False,
    model_options: Mapping[str, Any] | None = None,
) -> tuple[PreTrainedModel, TextEncoder]:
    """Load a causal language model and its tokenizer, or a vision-language model and its processor.

    Args:
        name_or_path: A name on the hub or a folder.
        device: ``auto`` (this process's GPU, else MPS, else the CPU) or a torch device such as ``cuda:1``.
        dtype: ``auto`` (the checkpoint's own), ``float32``, ``bfloat16`` or ``float16``.
        revision: Branch, tag or commit on the hub.
        trust_remote_code: Whether to run code that comes with the model.
        model_options: Further arguments for the model's ``from_pretrained``, for example ``device_map`` (which
            replaces ``device``) or ``quantization_config``.

    Raises:
        SamplingError: If nothing is found under the name, the model is of neither kind, or the device or dtype does
            not exist.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer

    common: dict[str, Any] = {"revision": revision, "trust_remote_code": trust_remote_code}
    options = dict(model_options or {})
    if dtype not in _DTYPES:
        raise SamplingError(f"dtype: expected one of {', '.join(_DTYPES)}, got {dtype!r}")
    target = None if "device_map" in options else pick_device(device)
    try:
        config = _load_config(name_or_path, common)
        takes_images = _is_kind(config, AutoModelForImageTextToText)
        if not takes_images and not _is_kind(config, AutoModelForCausalLM):
            raise SamplingError(
                f"{name_or_path}: expected a causal language model or a vision-language model, "
                f"got a model of type '{config.model_type}'"
            )
        kind: Any = AutoModelForImageTextToText if takes_images else AutoModelForCausalLM
        model: Any = kind.from_pretrained(name_or_path, dtype=dtype, **common, **options)
        if takes_images:
            encoder = _load_processor(name_or_path, config, common)
        else:
            encoder = _load(AutoTokenizer, name_or_path, common)
    except SamplingError:
        raise
    except ImportError as error:
        raise SamplingError(f"model '{name_or_path}' needs a package that is not installed: {error}") from error
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        is_folder = Path(name_or_path).is_dir()
        problem = "this folder cannot be loaded" if is_folder else "neither a folder here nor loadable from the hub"
        raise SamplingError(
            f"model '{name_or_path}': {problem} ({_first_line(error)}); "
            "expected a hub id, or a folder written by save_pretrained"
        ) from error
    if target is not None:
        model = model.to(target)
    return cast("PreTrainedModel", model), encoder


def _load_config(name_or_path: str, common: Mapping[str, Any]) -> PreTrainedConfig:
    from transformers import AutoConfig

    return cast("PreTrainedConfig", AutoConfig.from_pretrained(name_or_path, **common))


def _is_kind(config: PreTrainedConfig, auto_class: Any) -> bool:
    # A model that comes with its own code declares its kind in `auto_map`.
    return type(config) in auto_class._model_mapping or auto_class.__name__ in (getattr(config, "auto_map", None) or {})


def _load(auto_class: Any, name_or_path: str, common: Mapping[str, Any], **options: Any) -> Any:
    return auto_class.from_pretrained(name_or_path, **common, **options)


def _load_processor(name_or_path: str, config: PreTrainedConfig, common: Mapping[str, Any]) -> ProcessorMixin:
    """Load a processor that prepares images with Pillow and has no video processor.

    Pillow gives the same pixels on every machine, whereas the default backend depends on whether torchvision is
    installed. Video processors need torchvision and are never called here, so models that also take videos load
    without it.
    """
    from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    processor_class: Any = PROCESSOR_MAPPING.get(type(config), None)
    part_names = processor_class.get_attributes() if processor_class is not None else []
    if not part_names or not set(part_names) <= {"tokenizer", "image_processor", "video_processor"}:
        return cast("ProcessorMixin", _load(AutoProcessor, name_or_path, common))
    parts = {
        "tokenizer": _load(AutoTokenizer, name_or_path, common),
        "image_processor": _load(AutoImageProcessor, name_or_path, common, backend="pil"),
        "video_processor": None,
    }
    processor_class = without_video(processor_class)
    settings, rest = processor_class.get_processor_dict(name_or_path, **common)
    processor = processor_class.from_args_and_dict([parts[name] for name in part_names], settings, **rest)
    return cast("ProcessorMixin", processor)


def without_video(processor_class: type[ProcessorMixin]) -> type[ProcessorMixin]:
    """Derive a processor class that accepts None as its video processor."""
    base: Any = processor_class

    def check(self: Any, name: str, part: Any) -> Any:
        return None if name == "video_processor" else base.check_argument_for_proper_class(self, name, part)

    return cast("type[ProcessorMixin]", type(base.__name__, (base,), {"check_argument_for_proper_class": check}))


def folder_revision(name_or_path: str) -> str | None:
    """Fingerprint of a model's folder: a hash of the names, sizes and first megabytes of its files; None for a hub id.

    Weights of many gigabytes are not read completely, because further training changes the first megabyte as well.
    """
    folder = Path(name_or_path)
    if not folder.is_dir():
        return None
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.json")) + sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.bin")):
        with file.open("rb") as stream:
            digest.update(f"{file.name} {file.stat().st_size}\n".encode() + stream.read(2**20))
    return digest.hexdigest()


def require_causal_lm(model: PreTrainedModel) -> None:
    """Refuse models that are not causal language models.

    Args:
        model: The model to check.

    Raises:
        SamplingError: If the model cannot generate, or has an encoder that reads the prompt.
    """
    # Some configs of transformers lack the field.
    has_encoder = getattr(model.config, "is_encoder_decoder", False)
    if has_encoder or not model.can_generate():
        got = "an encoder-decoder model" if has_encoder else "a model without a language-model head"
        raise SamplingError(f"{type(model).__name__}: expected a causal language model, got {got}")


def pick_device(device: str = "auto") -> torch.device:
    """Return the torch device of that name.

    Args:
        device: A torch device, or ``auto``: this process's GPU (under torchrun or accelerate, the one of its local
            rank), else MPS, else the CPU.

    Raises:
        SamplingError: If this machine has no such device.
    """
    if device != "auto":
        try:
            return torch.empty(0, device=device).device  # a valid name does not mean that the device exists
        except (RuntimeError, AssertionError) as error:
            raise SamplingError(
                f"device: expected 'auto' or a torch device that exists here, got '{device}' ({_first_line(error)})"
            ) from error
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
