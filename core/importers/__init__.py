"""Checkpoints of other programs, made into this project's: ``python -m core.checkpoint import``.

``read`` opens a file without running code in it, ``kinds`` recognises what it is from its keys,
``names`` translates keys and layouts, and ``convert`` puts a model together from them.
"""
