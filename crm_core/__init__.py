"""The version and `hookimpl`: all that a plugin's first line needs."""

from typing import Final

import pluggy

__version__ = "0.1.0"

hookimpl: Final = pluggy.HookimplMarker("crm")
"""Marks a function of a plugin as its answer to the hook of the same name."""

__all__ = ["__version__", "hookimpl"]
