"""The version of this package, for all layers; `graft.__version__` is the same."""

__all__ = ["VERSION"]

VERSION = "0.1.0"
