"""Does an artifact still compute what its checkpoint computes?

``python -m mobile_export.verify`` is a command of this name and ``mobile_export.verify(...)`` a
function of the API, so this module can be called: it is ``verifier.verify``, imported when it is
wanted. A function in its place would be gone as soon as anything of the package was imported.
"""

import functools
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mobile_export.verify.check import Report


class _Callable(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> "Report":
        from mobile_export.verify.verifier import verify

        functools.update_wrapper(self, verify)
        return verify(*args, **options)


sys.modules[__name__].__class__ = _Callable
