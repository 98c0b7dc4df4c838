"""A table of all optimizers, with their settings in the shared tests."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from kinds import some

import tf_helen


@dataclasses.dataclass(frozen=True)
class Entry:
    """One optimizer under test.

    Attributes:
        make: builds it from Keras's keyword arguments.
        one_hot: builds it so that the same model on one-hot inputs must train alike.
        two_pass: perturbs the weights for a second pass.
        multi_pass: needs a trainer that computes more than one gradient.
        decays: absent rows change.
    """

    make: Callable
    one_hot: Callable | None = None
    two_pass: bool = False
    multi_pass: bool = False
    decays: bool = False


LR = 0.05
AR = {"alpha": 0.01}
# Of dense weights: a table that is fed by slices has none, and one that is fed densely has.
AVERAGES = {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2}
BY_ROW = {"alpha": {"*": 0.01}}  # kept beside each row
LASSO = {"l1": 0.01, "l21": 0.01, "l2": 0.1}


def entry(cls, two_pass=False, multi_pass=False, one_hot=None, decays=None, **arguments) -> Entry:
    """The entry of an optimizer with given arguments."""
    fixed = {"learning_rate": LR, **arguments}

    def made(**changed):
        return lambda **k: cls(**{**fixed, **changed, **k})

    decays = "alpha" in arguments if decays is None else decays
    other = None if one_hot is None else made(**one_hot)
    return Entry(made(), other, two_pass, multi_pass or two_pass, decays)


def around(outer, base, two_pass=False, multi_pass=False, one_hot=None, **arguments) -> Entry:
    """The entry of an optimizer around another, which takes Keras's arguments."""
    inner = base.one_hot or base.make

    def made(inside, **changed):
        return lambda **k: outer(base_optimizer=inside(**k), **{**arguments, **changed})

    other = made(inner, **(one_hot or {}))
    return Entry(
        made(base.make), other, two_pass, multi_pass or two_pass or base.multi_pass, base.decays
    )


# One-hot inputs hide how often a feature occurs: equal frequencies, one norm, no clipping by count.
ALIKE = {"norm": "table", "lower_bound": 1.0}
UNCLIPPED = {"ratio": 1e9}
ONE_RATE = {"rho": 0.0}
# A row decays when it occurs, one of every step too; dense weights do not.
ON_TOUCH = {"alpha": 1.0, "one_hot": {"alpha": 0.0}, "decays": False}
COUNTED, UNCOUNTED = {"weight_decay": 0.1, "counter_halflife": 5}, {"counter_halflife": None}

ENTRIES = {
    "SGD": entry(tf_helen.SGD),
    "Momentum": entry(tf_helen.Momentum),
    "Nesterov": entry(tf_helen.Momentum, nesterov=True),
    "Adagrad": entry(tf_helen.Adagrad),
    "AdagradW": entry(tf_helen.AdagradW, one_hot=UNCOUNTED, **COUNTED),
    "RowWiseAdagrad": entry(tf_helen.RowWiseAdagrad),
    "RowWiseRMSpropAR": entry(tf_helen.RowWiseRMSpropAR, **ON_TOUCH),
    "Adam": entry(tf_helen.Adam),
    "Adam with averages": entry(tf_helen.Adam, one_hot={"use_ema": False}, **AVERAGES),
    "AMSGrad": entry(tf_helen.AMSGrad),
    "AdamW": entry(tf_helen.AdamW, weight_decay=0.1),
    "AdamW by counter": entry(tf_helen.AdamW, one_hot=UNCOUNTED, **COUNTED),
    "Nadam": entry(tf_helen.Nadam),
    "RAdam": entry(tf_helen.RAdam),
    "AdaHessian": entry(tf_helen.AdaHessian, multi_pass=True),
    "AdamAR": entry(tf_helen.AdamAR, **AR),
    "AdagradAR": entry(tf_helen.AdagradAR, **AR),
    "AdamAR of seen rows": entry(tf_helen.AdamAR, decay_unseen=False, **AR),
    "AdamAR by row": entry(tf_helen.AdamAR, **BY_ROW),
    "AdamAR auto": entry(tf_helen.AdamAR, alpha="auto"),
    "GroupAdam": entry(tf_helen.GroupAdam, **LASSO),
    "GroupAMSGrad": entry(tf_helen.GroupAMSGrad, **LASSO),
    "GroupAdamAR": entry(tf_helen.GroupAdamAR, **LASSO, **AR),
    "GroupAdagrad": entry(tf_helen.GroupAdagrad, **LASSO),
    "GroupMomentum": entry(tf_helen.GroupMomentum, **LASSO),
    "GroupAdaHessian": entry(tf_helen.GroupAdaHessian, multi_pass=True, average="row", **LASSO),
    "GroupFTRL": entry(tf_helen.GroupFTRL, **LASSO),
    "SAM": entry(tf_helen.SAM, two_pass=True),
    "ASAM": entry(tf_helen.ASAM, two_pass=True, rho=0.2),
    "Helen": entry(tf_helen.Helen, two_pass=True, one_hot=ALIKE),
    "Helen running": entry(tf_helen.Helen, two_pass=True, one_hot=ALIKE, frequency="running"),
    "CowClip": entry(tf_helen.CowClip, one_hot=UNCLIPPED, ratio=0.1),
    "FrequencyAware": entry(tf_helen.FrequencyAware, one_hot=ONE_RATE, cap=3.0),
}
ENTRIES |= {
    "PerVariable": Entry(
        # the tables of the tests are named `table` and `embeddings`
        lambda **k: tf_helen.PerVariable(
            {"[te][am]b": ENTRIES["Adam"].make(**k), "*": ENTRIES["Momentum"].make(**k)}
        ),
    ),
    "CowClip(AdamAR)": around(
        tf_helen.CowClip, ENTRIES["AdamAR"], one_hot=UNCLIPPED, ratio=0.1, threshold="released"
    ),
    "FrequencyAware(AdamAR)": around(
        tf_helen.FrequencyAware, ENTRIES["AdamAR"], one_hot=ONE_RATE, cap=3.0
    ),
    "Helen(AdamAR)": around(tf_helen.Helen, ENTRIES["AdamAR"], two_pass=True, one_hot=ALIKE),
    "Helen(GroupAdam)": around(tf_helen.Helen, ENTRIES["GroupAdam"], two_pass=True, one_hot=ALIKE),
    "Helen(CowClip)": around(tf_helen.Helen, ENTRIES["CowClip"], two_pass=True, one_hot=ALIKE),
    "Helen(FrequencyAware)": around(
        tf_helen.Helen, ENTRIES["FrequencyAware"], two_pass=True, one_hot=ALIKE
    ),
    "SAM(AdaHessian)": around(tf_helen.SAM, ENTRIES["AdaHessian"], two_pass=True),
}

# One entry for each kind of step: no slot, a slot as wide as the table, one of one column, counters
# of occurrences, decay of absent rows, group lasso with it, a Hessian, clipping by row, two passes,
# two passes around decay, one optimizer per variable.
KINDS = (
    *("SGD", "Momentum", "RowWiseAdagrad", "AdamW by counter", "AdamAR", "GroupAdamAR"),
    *("AdaHessian", "CowClip", "Helen", "Helen(AdamAR)", "PerVariable"),
)


def cases(names=ENTRIES, fast=KINDS) -> list:
    """Parameters of a test: `names`, or tuples, of which all that are not in `fast` are slow."""
    return some(names, fast)


# Over replicas gradients, counts and curvatures are summed; rules as such know nothing of it. Each
# entry takes seconds to trace, so there are only those that differ in what is summed or kept.
OVER_REPLICAS = (
    *("Adagrad", "RowWiseRMSpropAR", "Adam", "AdamW by counter", "AdaHessian", "AdamAR"),
    "AdamAR auto",
    *("GroupAdamAR", "GroupFTRL", "SAM", "Helen", "Helen running", "CowClip", "PerVariable"),
    *("FrequencyAware", "AdamAR by row", "Adam with averages"),
    *("Helen(AdamAR)", "CowClip(AdamAR)", "SAM(AdaHessian)"),
)


def new_table(rows=7, width=3, dtype="float32", seed=0) -> keras.Variable:
    """A table of random rows that belongs to no layer."""
    values = np.random.default_rng(seed).normal(size=(rows, width))
    return keras.Variable(values, dtype=dtype, name="table")


def take_step(optimizer, table, ids, weights) -> None:
    """One step on the loss `sum_i <weights_i, e_(ids_i)> + |e_(ids_i)|^2 / 2`."""
    ids = tf.cast(ids, tf.int32)
    weights = tf.constant(np.asarray(weights), table.dtype)

    def closure():
        rows = tf.gather(table.value, ids)
        return tf.reduce_sum(weights * rows) + tf.reduce_sum(tf.square(rows)) / 2

    optimizer.minimize(closure, [table])


def state_of(optimizer) -> list[np.ndarray]:
    """All the optimizer's variables."""
    return [np.array(v.numpy()) for v in optimizer.variables]
