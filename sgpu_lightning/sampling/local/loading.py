"""Models with their tokenizers or processors, by name or from a folder."""

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

    from sgpu_lightning.sampling.prompt import TextEncoder

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
        model_options: Further arguments for the model's ``from_pretrained``, for example ``device_map`` (which takes
            the place of ``device``) or ``quantization_config``.

    Raises:
        SamplingError: If nothing is found there, or neither kind of model, or there is no such device or dtype.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer

    common: dict[str, Any] = {"revision": revision, "trust_remote_code": trust_remote_code}
    options = dict(model_options or {})
    if dtype not in _DTYPES:
        raise SamplingError(f"dtype: expected one of {', '.join(_DTYPES)}, got {dtype!r}")
    place = None if "device_map" in options else pick_device(device)
    try:
        config = _load_config(name_or_path, common)
        sees = _is_kind(config, AutoModelForImageTextToText)
        if not sees and not _is_kind(config, AutoModelForCausalLM):
            raise SamplingError(
                f"{name_or_path}: expected a causal language model or a vision-language model, "
                f"got a model of type '{config.model_type}'"
            )
        kind: Any = AutoModelForImageTextToText if sees else AutoModelForCausalLM
        model: Any = kind.from_pretrained(name_or_path, dtype=dtype, **common, **options)
        encoder = _load_processor(name_or_path, config, common) if sees else _load(AutoTokenizer, name_or_path, common)
    except SamplingError:
        raise
    except ImportError as error:
        raise SamplingError(f"model '{name_or_path}' needs a package that is not installed: {error}") from error
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        here = Path(name_or_path).is_dir()
        problem = "this folder cannot be loaded" if here else "neither a folder here nor loadable from the hub"
        raise SamplingError(
            f"model '{name_or_path}': {problem} ({_first_line(error)}); "
            "expected a hub id, or a folder written by save_pretrained"
        ) from error
    if place is not None:
        model = model.to(place)
    return cast("PreTrainedModel", model), encoder


def _load_config(name_or_path: str, common: Mapping[str, Any]) -> PreTrainedConfig:
    from transformers import AutoConfig

    return cast("PreTrainedConfig", AutoConfig.from_pretrained(name_or_path, **common))


def _is_kind(config: PreTrainedConfig, auto_class: Any) -> bool:
    # Code that comes with the model says itself what it is.
    return type(config) in auto_class._model_mapping or auto_class.__name__ in (getattr(config, "auto_map", None) or {})


def _load(auto_class: Any, name_or_path: str, common: Mapping[str, Any], **options: Any) -> Any:
    return auto_class.from_pretrained(name_or_path, **common, **options)


def _load_processor(name_or_path: str, config: PreTrainedConfig, common: Mapping[str, Any]) -> ProcessorMixin:
    """A processor whose images go through Pillow.

    So they give the same pixels on every machine, while the default depends on whether torchvision is installed; and
    models that see films too do without torchvision, which their video processors need and we never call.
    """
    from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    processor_class: Any = PROCESSOR_MAPPING.get(type(config), None)
    wanted = processor_class.get_attributes() if processor_class is not None else []
    if not wanted or not set(wanted) <= {"tokenizer", "image_processor", "video_processor"}:
        return cast("ProcessorMixin", _load(AutoProcessor, name_or_path, common))
    parts = {
        "tokenizer": _load(AutoTokenizer, name_or_path, common),
        "image_processor": _load(AutoImageProcessor, name_or_path, common, backend="pil"),
        "video_processor": None,
    }
    processor_class = without_video(processor_class)
    settings, rest = processor_class.get_processor_dict(name_or_path, **common)
    processor = processor_class.from_args_and_dict([parts[name] for name in wanted], settings, **rest)
    return cast("ProcessorMixin", processor)


def without_video(processor_class: type[ProcessorMixin]) -> type[ProcessorMixin]:
    """The same class of processor, but None will do for its video processor."""
    base: Any = processor_class

    def check(self: Any, name: str, part: Any) -> Any:
        return None if name == "video_processor" else base.check_argument_for_proper_class(self, name, part)

    return cast("type[ProcessorMixin]", type(base.__name__, (base,), {"check_argument_for_proper_class": check}))


def folder_revision(name_or_path: str) -> str | None:
    """A fingerprint of a model's folder: names, sizes and first megabyte of its files; None for a hub id.

    Weights of many gigabytes are not read whole: training again changes the first megabyte as well.
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
    """Refuse models that do not continue a text.

    Raises:
        SamplingError: If the model cannot generate, or has an encoder that reads the prompt.
    """
    # Of some configs, transformers leaves the field out.
    encodes = getattr(model.config, "is_encoder_decoder", False)
    if encodes or not model.can_generate():
        got = "an encoder-decoder model" if encodes else "a model without a language-model head"
        raise SamplingError(f"{type(model).__name__}: expected a causal language model, got {got}")


def pick_device(device: str = "auto") -> torch.device:
    """The device meant; ``auto`` is this process's GPU under torchrun or accelerate, else MPS, else the CPU.

    Raises:
        SamplingError: If this machine has no such device.
    """
    if device != "auto":
        try:
            return torch.empty(0, device=device).device  # a name may be right and the device not there
        except (RuntimeError, AssertionError) as error:
            raise SamplingError(
                f"device: expected 'auto' or a torch device that is here, got '{device}' ({_first_line(error)})"
            ) from error
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
