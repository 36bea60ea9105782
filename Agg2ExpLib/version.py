"""The version, where every part of the library can ask for it without the library's face."""

__version__ = "0.1.0"
