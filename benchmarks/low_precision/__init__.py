"""Experiments about balance and the rounding of weights; ``benchmarks/quantization.py`` is the command."""
