"""OpenCraw: a personal assistant that lives where people already talk."""

__version__ = "0.1.0"
