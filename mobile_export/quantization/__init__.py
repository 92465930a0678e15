"""Quantization: torchao's PT2E flow (``pt2e``), and a quantizer a runtime."""
