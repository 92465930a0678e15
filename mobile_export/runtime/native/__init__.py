"""ExecuTorch programs outside Python: a runner in C++, for this machine and for emulated Arm cores.

``build`` compiles ``runner.cpp`` against the libraries of the installed executorch wheel, or across
against those of its aarch64 wheel, on demand and once; ``process`` talks to it.
"""
