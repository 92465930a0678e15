"""The JSON Schemas of the package: what a document breaks of one."""

import json
from importlib import resources

import jsonschema

REASON = 200  # characters of a message; some quote the whole document


def _whole(_checker: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# JSON Schema takes 8.0 for an integer, and whoever counts with it does not.
_CHECKER = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _whole)
_Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=_CHECKER)


def violation(document: object, schema: str) -> str | None:
    """The first place where a document breaks a schema file, and why; None when it does not."""
    text = resources.files(__package__).joinpath(schema).read_text()
    validator = _Validator(json.loads(text))
    error = jsonschema.exceptions.best_match(validator.iter_errors(document))
    if error is None:
        return None
    return f"{error.json_path}: {error.message.splitlines()[0][:REASON]}"
