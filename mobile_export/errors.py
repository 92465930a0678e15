"""What can go wrong in an export besides input that cannot be used; nothing heavy is imported."""


class LoweringError(RuntimeError):
    """The delegate did not take the whole graph, would miscompute it, or does not run the result.

    The message names the operator or the reason.
    """
