"""Arguments of models, optimizers and callbacks, as text: `rho=0.01,base_optimizer=adamar`."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

import tf_helen
import zoo
from tf_helen.core.checks import nearest, one_of
from tf_helen.optimizers import registry as optimizers
from tf_helen.optimizers.arguments import arguments_of
from tf_helen.optimizers.wrapping import WrappingOptimizer
from zoo.models import ClickModel

_WORDS = {"true": True, "yes": True, "false": False, "no": False, "none": None}
_FREQUENCIES = ("batch", "running", "dataset")  # "dataset": replaced by counts before
_TOWER = "tower_"  # prefix of arguments of the optimizer of the dense weights
# adamar, cowclip(adamar), magnitude_pruning(sparsity=0.5)
_BARE = re.compile(r"[A-Za-z_][\w.>()-]*|[a-z_]+\([\w=., -]*\)")


def parse_arguments(text: str) -> dict[str, Any]:
    """Reads `key=value,key=value`; a value is a Python literal or a bare word.

    Args:
        text: string, such as `hidden_units=(64,32),activation=relu,batch_norm=true`; may be empty.

    Returns:
        Dict from key to value, in order.

    Raises:
        ValueError: names the part that cannot be read.

    Example:
        >>> parse_arguments("rho=0.01,base_optimizer=adamar,hidden_units=(8,4)")
        {'rho': 0.01, 'base_optimizer': 'adamar', 'hidden_units': (8, 4)}
    """
    found: dict[str, Any] = {}
    for part in split_outside_brackets(text):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key.isidentifier():
            raise ValueError(
                f"cannot read {part.strip()!r} in {text!r}; write key=value,key=value, such as "
                "alpha=1e-4 or hidden_units=(64,32)"
            )
        if key in found:
            raise ValueError(f"{key!r} is given twice in {text!r}; give it once")
        found[key] = parse_value(value, part)
    return found


def arguments_text(arguments: Mapping[str, Any]) -> str:
    """Writes arguments as `parse_arguments` reads them.

    Args:
        arguments: numbers, texts, booleans, `None`, and tuples or lists of these, by name.

    Returns:
        Text such as `rho=0.01,base_optimizer=adamar`.

    Example:
        >>> arguments_text({"rho": 0.01, "base_optimizer": "adamar", "hidden_units": (8, 4)})
        'rho=0.01,base_optimizer=adamar,hidden_units=(8, 4)'
    """
    return ",".join(f"{key}={_value_text(value)}" for key, value in arguments.items())


def _value_text(value: Any) -> str:
    bare = isinstance(value, str) and _BARE.fullmatch(value) and value.lower() not in _WORDS
    return value if bare else repr(value)


def split_outside_brackets(text: str) -> list[str]:
    """Splits at the commas that are within neither brackets nor quotes.

    Args:
        text: such as `a=(1,2),b='x,y'`.

    Returns:
        The parts that are not blank.

    Example:
        >>> split_outside_brackets("a=(1,2),b='x,y'")
        ['a=(1,2)', "b='x,y'"]
    """
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part.strip()]


def parse_value(value: str, part: str) -> Any:
    """Reads a value: a Python literal, `true`, `false`, `none`, or a bare word.

    Args:
        value: its text.
        part: what contains it, for the error message.

    Returns:
        The value.

    Raises:
        ValueError: if it cannot be read.

    Example:
        >>> parse_value("1e-4", "alpha=1e-4"), parse_value("adamar", "base_optimizer=adamar")
        (0.0001, 'adamar')
        >>> parse_value("magnitude_pruning(sparsity=0.5)", "callbacks")
        'magnitude_pruning(sparsity=0.5)'
    """
    if value.lower() in _WORDS:
        return _WORDS[value.lower()]
    if _BARE.fullmatch(value):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError(
            f"cannot read the value in {part.strip()!r}; use a number, a word, or a Python "
            "literal such as (64,32) or 'text'"
        ) from None


def make_optimizer(name: str, learning_rate: float | None, arguments: Mapping[str, Any]) -> Any:
    """Creates an optimizer from the values of command-line flags.

    Args:
        name: string, such as "adam", "helen", "helen(adamar)".
        learning_rate: float, or `None`: the optimizer's default.
        arguments: dict, the other arguments. A wrapper such as `helen` or `cowclip` also takes
            those of its base optimizer. `tower_optimizer` names another optimizer for all variables
            that are not embedding tables (`tf_helen.PerVariable`); `tower_learning_rate` and other
            names with the prefix `tower_` are its arguments.

    Returns:
        A Keras optimizer.

    Raises:
        ValueError: on an unknown name, an unknown argument (the message lists all of them), or a
            value that the optimizer does not accept.

    Example:
        >>> make_optimizer("helen", 1e-3, {"rho": 0.01, "base_optimizer": "adamar"}).rho
        0.01
        >>> make_optimizer("adagrad", 1e-2, {"tower_optimizer": "adam"}).patterns
        ['embedding', '*']
    """
    arguments, tower = _split_tower(arguments)
    known = known_arguments(name, arguments.get("base_optimizer"))
    if learning_rate is not None and "learning_rate" in arguments:
        raise ValueError(
            f"the learning rate of {name} is given twice, as {learning_rate} and as "
            f"{arguments['learning_rate']}; leave one out"
        )
    if learning_rate is not None and "learning_rate" not in known:
        raise ValueError(f"{name} takes no learning rate; give one to each of its optimizers")
    _check_known(arguments, known, f"optimizer {name!r}")
    frequency = arguments.get("frequency", "batch")
    if not isinstance(frequency, Mapping):
        one_of("frequency", frequency, _FREQUENCIES)
    rate = arguments.pop("learning_rate", learning_rate)
    if tower is None:
        return _made(f"optimizer {name!r}", lambda: optimizers.get(name, rate, **arguments))
    dense = make_optimizer(tower.pop("optimizer"), None, tower)
    return _made(f"optimizer {name!r}", lambda: _with_tower(name, rate, arguments, dense))


def _split_tower(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The arguments of the tables' optimizer, and those of the tower's, or `None`."""
    tower = {k[len(_TOWER) :]: v for k, v in arguments.items() if k.startswith(_TOWER)}
    if tower and not isinstance(tower.get("optimizer"), str):
        raise ValueError(
            "`tower_optimizer` must be the name of an optimizer, such as tower_optimizer=adam. "
            f"Received: tower_optimizer={tower.get('optimizer')!r} with "
            f"{', '.join(_TOWER + key for key in tower)}"
        )
    return {k: v for k, v in arguments.items() if not k.startswith(_TOWER)}, tower or None


def _with_tower(name: str, rate: float | None, arguments: dict[str, Any], tower: Any) -> Any:
    """The optimizer `name` for tables and `tower` for the rest, inside any Helen, SAM or ASAM.

    Their passes apply to all variables, so they cannot be part of `tf_helen.PerVariable`.
    """
    cls, inner = optimizers.class_of(name)
    if not issubclass(cls, tf_helen.SAM):
        tables = optimizers.get(name, rate, **arguments)
        return tf_helen.PerVariable({"embedding": tables, "*": tower})
    own = {key: value for key, value in arguments.items() if key in arguments_of(cls)}
    base = own.pop("base_optimizer", inner) or arguments_of(cls)["base_optimizer"]
    rest = {key: value for key, value in arguments.items() if key not in arguments_of(cls)}
    return cls(base_optimizer=_with_tower(base, rate, rest, tower), **own)


def known_arguments(name: str, base: str | None) -> dict[str, Any]:
    """The arguments of a named optimizer, and of those that it is wrapped around.

    Args:
        name: such as "adam" or "helen(adamar)".
        base: name of the base optimizer, if `name` does not say it; `None`: its default.

    Returns:
        Dict from argument to default.

    Raises:
        ValueError: on an unknown name.

    Example:
        >>> "alpha" in known_arguments("helen", "adamar")
        True
    """
    cls, inner = optimizers.class_of(name)
    known = arguments_of(cls)
    if issubclass(cls, WrappingOptimizer):
        inner = inner or base or known["base_optimizer"]
        if not isinstance(inner, str):
            raise ValueError(f"`base_optimizer` must be a name. Received: {inner!r}")
        known = known_arguments(inner, None) | known
    return known


CALLBACKS = {
    "meda": tf_helen.callbacks.MEDA,
    "embedding_norms": tf_helen.callbacks.EmbeddingNorms,
    "sparsity": tf_helen.callbacks.Sparsity,
    "id_counts": tf_helen.callbacks.IdCounts,
    "magnitude_pruning": tf_helen.callbacks.MagnitudePruning,
}


def make_callbacks(
    names: Sequence[str], facts: Mapping[str, Callable[[], Any]] | None = None
) -> list[keras.callbacks.Callback]:
    """Makes callbacks from what a command line says.

    Args:
        names: such as `("meda", "magnitude_pruning(sparsity=0.9)")`.
        facts: dict from argument name to a function that returns its value, for callbacks that have
            such an argument: "counts" and "samples" of the data. Defaults to `None`.

    Returns:
        Keras callbacks.

    Raises:
        ValueError: on an unknown name, an unknown argument (all known ones are listed), or a value
            that the callback does not allow.

    Example:
        >>> [meda, pruning] = make_callbacks(["meda", "magnitude_pruning(sparsity=0.9)"])
        >>> type(meda).__name__, pruning.sparsity
        ('MEDA', 0.9)
    """
    return [_make_callback(name, facts or {}) for name in names]


def _make_callback(text: str, facts: Mapping[str, Callable[[], Any]]) -> keras.callbacks.Callback:
    name, bracket, inner = (part.strip() for part in text.partition("("))
    cls = CALLBACKS[one_of("callbacks", name, CALLBACKS)]
    if bracket and not inner.endswith(")"):
        raise ValueError(
            f"cannot read the callback {text!r}; write NAME or NAME(key=value,...), such as "
            "magnitude_pruning(sparsity=0.9)"
        )
    arguments = parse_arguments(inner.removesuffix(")"))
    known = {key: each.default for key, each in inspect.signature(cls).parameters.items()}
    _check_known(arguments, known, f"callback {name!r}")
    for key in facts:
        if key in known and key not in arguments:
            arguments[key] = facts[key]()
    return _made(f"callback {name!r}", lambda: cls(**arguments))


def split_callbacks(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Separates the callbacks from the arguments of an optimizer.

    Args:
        arguments: dict, arguments of an optimizer. `callbacks="meda"` names callbacks; version
            0.1 wrote `meda=True`.

    Returns:
        Dict of the other arguments, and a tuple of the callbacks' names.

    Raises:
        ValueError: if `meda` is neither true nor false.

    Example:
        >>> split_callbacks({"alpha": 0.1, "meda": True})
        ({'alpha': 0.1}, ('meda',))
    """
    arguments = dict(arguments)
    names = arguments.pop("callbacks", ())
    names = (names,) if isinstance(names, str) else tuple(names)
    meda = arguments.pop("meda", False)
    if not isinstance(meda, bool):
        raise ValueError(f"`meda` must be true or false. Received: meda={meda}")
    return arguments, (*names, *(("meda",) if meda and "meda" not in names else ()))


def make_model(name: str, schema: zoo.Schema, arguments: Mapping[str, Any], dtype: str) -> Any:
    """Creates a model of the zoo from the values of command-line flags.

    Args:
        name: string, such as "deepfm".
        schema: `zoo.Schema`, the columns of the data.
        arguments: dict, arguments of the constructor.
        dtype: string, Keras dtype policy, such as "float32" or "mixed_bfloat16".

    Returns:
        A built model.

    Raises:
        ValueError: on an unknown name, an unknown argument (the message lists all of them), or a
            value that the model does not accept.

    Example:
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10)])
        >>> make_model("dnn", schema, {"hidden_units": (8,)}, "float32").settings["hidden_units"]
        (8,)
    """
    cls = check_model(name, arguments)
    return _made(f"model {name!r}", lambda: cls(schema, **arguments, dtype=dtype))


def check_model(name: str, arguments: Mapping[str, Any]) -> type[ClickModel]:
    """Checks the names of a model and of its arguments, without making it.

    Args:
        name: such as "deepfm".
        arguments: the constructor's arguments.

    Returns:
        The model's class.

    Raises:
        ValueError: on an unknown name, or an unknown argument (all known ones are listed).

    Example:
        >>> check_model("dnn", {"hidden_units": (8,)}).__name__
        'DNN'
    """
    cls = zoo.get_class(name)
    _check_known(arguments, cls.arguments(), f"model {name!r}")
    return cls


def _check_known(arguments: Mapping[str, Any], known: Mapping[str, Any], what: str) -> None:
    for key, value in arguments.items():
        if key not in known:
            raise ValueError(
                f"{what} has no argument {key!r}.{nearest(key, known)} Its arguments: "
                f"{', '.join(known)}."
            )
        if isinstance(known[key], bool) and not isinstance(value, bool):
            raise ValueError(f"{what}: `{key}` must be true or false. Received: {key}={value}")


def _made(what: str, make: Any) -> Any:
    try:
        return make()
    except TypeError as error:  # a value of a wrong type, found in the constructor
        raise ValueError(f"{what} does not accept an argument: {error}") from error
