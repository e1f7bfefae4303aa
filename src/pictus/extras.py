"""Optional packages, imported where they are used, by one function that names the extra."""

from __future__ import annotations

import importlib
from typing import Any

from pictus.errors import UserError


def need(module: str, extra: str) -> Any:  # noqa: ANN401  a module has no narrower type
    """Import `module`, or say which extra brings it.

    need("torch", "train") -> the torch module, or UserError with `pip install 'pictus[train]'`.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise UserError(
            f"This step needs the package {error.name!r}, which is not installed.",
            fix=f"pip install 'pictus[{extra}]'",
        ) from None
