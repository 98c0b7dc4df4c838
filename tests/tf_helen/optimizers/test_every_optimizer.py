"""Every optimizer through one table of cases on single tables."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from optimizer_table import ENTRIES, KINDS, LR, cases, new_table, state_of, take_step
from properties import examples

import tf_helen
from tf_helen.core.rows import sum_duplicates

every = pytest.mark.parametrize("name", ENTRIES)
# Facts that differ by kind of rule only: `make test-all` checks every optimizer.
kinds = pytest.mark.parametrize("name", cases())
ONE_PASS = [name for name, entry in ENTRIES.items() if not entry.multi_pass]
SEVERAL = [name for name, entry in ENTRIES.items() if entry.multi_pass]
no_decay = pytest.mark.parametrize("name", [n for n, e in ENTRIES.items() if not e.decays])
RNG = np.random.default_rng(7)


def weights_for(ids, width=3, seed=1):
    return np.random.default_rng(seed).normal(size=(len(ids), width))


def finalized(optimizer, table):
    optimizer.finalize_variable_values([table])
    return table.numpy()


@every
def test_repeated_ids_act_as_their_sum(name):
    """Applies slices with duplicates, and the same slices summed by NumPy."""
    if ENTRIES[name].multi_pass:
        pytest.skip("applies gradients it computed itself; see the splitting property below")
    results = []
    for summed in (False, True):
        table, optimizer = new_table(), ENTRIES[name].make()
        for step in range(4):
            rng = np.random.default_rng(step)
            ids = np.array([1, 5, 1, 1, 3, 5])
            values = rng.normal(size=(6, 3)).astype(np.float32)
            if summed:
                rows = np.unique(ids)
                values = np.stack([values[ids == row].sum(0) for row in rows])
                ids = rows
            optimizer.apply([tf.IndexedSlices(tf.constant(values), tf.constant(ids))], [table])
        results.append(finalized(optimizer, table))
    np.testing.assert_allclose(*results, atol=1e-6)


@every
def test_all_rows_present_sparse_equals_dense(name):
    """`gather` gives slices, a one-hot product a dense gradient."""
    entry, results = ENTRIES[name], []
    for one_hot in (False, True):
        table, optimizer = new_table(), (entry.one_hot or entry.make)()
        for step in range(6):
            ids = np.concatenate([np.random.default_rng(step).permutation(7), [2, 4, 2]])
            weights = tf.constant(weights_for(ids, seed=step), tf.float32)

            def closure(ids=ids, weights=weights, one_hot=one_hot, table=table):
                rows = tf.one_hot(ids, 7) @ table.value if one_hot else tf.gather(table.value, ids)
                return tf.reduce_sum(weights * rows) + tf.reduce_sum(tf.square(rows)) / 2

            optimizer.minimize(closure, [table])
        results.append(finalized(optimizer, table))
    np.testing.assert_allclose(*results, atol=1e-6)


@no_decay
def test_absent_rows_and_their_slots_are_untouched(name):
    table, optimizer = new_table(), ENTRIES[name].make()
    optimizer.build([table])
    base = optimizer.record_owner(table)
    take_step(optimizer, table, np.arange(7), weights_for(range(7)))
    before = table.numpy().copy()
    slots = {n: v.numpy().copy() for n, v in base.slots_of(table).items()}
    for _ in range(3):
        take_step(optimizer, table, [0, 3, 3], weights_for(range(3)))
    absent = [1, 2, 4, 5, 6]
    np.testing.assert_array_equal(table.numpy()[absent], before[absent])
    assert not np.array_equal(table.numpy()[[0, 3]], before[[0, 3]])
    for n, slot in base.slots_of(table).items():
        np.testing.assert_array_equal(slot.numpy()[absent], slots[n][absent])


@kinds
def test_empty_slices_change_only_the_step(name):
    table, optimizer = new_table(), ENTRIES[name].make()
    take_step(optimizer, table, [0, 1], weights_for(range(2)))
    step = int(optimizer.iterations.numpy())
    before = finalized(optimizer, table).copy()
    take_step(optimizer, table, [], np.zeros((0, 3)))
    if not ENTRIES[name].decays:
        np.testing.assert_array_equal(table.numpy(), before)
    assert np.all(np.isfinite(finalized(optimizer, table)))
    assert int(optimizer.iterations.numpy()) == step + 1


@kinds
@pytest.mark.parametrize("shape", [(7, 1), (7,), (7, 2, 2)])
def test_other_widths(name, shape):
    table, optimizer = keras.Variable(RNG.normal(size=shape), name="table"), ENTRIES[name].make()
    ids = tf.constant([1, 1, 4])

    def closure():
        return tf.reduce_sum(tf.square(tf.gather(table.value, ids))) / 2

    before = float(closure())
    for _ in range(3):
        optimizer.minimize(closure, [table])
    assert float(closure()) < before


@kinds
def test_dense_weights_of_any_rank(name):
    shapes = [(), (3,), (2, 3), (2, 2, 2)]
    weights = [keras.Variable(1 + RNG.random(shape), name="table") for shape in shapes]
    before = [float(np.square(w.numpy()).sum()) for w in weights]
    optimizer = (
        ENTRIES[name].make() if name != "PerVariable" else tf_helen.PerVariable({"*": "sgd"})
    )
    for _ in range(3):
        optimizer.minimize(lambda: tf.add_n([tf.reduce_sum(w.value**2) for w in weights]), weights)
    for one, start in zip(weights, before, strict=True):
        assert np.square(one.numpy()).sum() < start


CLIPS = [{"clipnorm": 0.5}, {"global_clipnorm": 0.5}, {"clipvalue": 0.2}]
clips = pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: next(iter(clip)))


def clipped(values, clipnorm=None, global_clipnorm=None, clipvalue=None):
    """The gradient of the only variable, clipped by NumPy."""
    if clipvalue is not None:
        return values.clip(-clipvalue, clipvalue)
    return values * min(1, (clipnorm or global_clipnorm) / np.linalg.norm(values))


@pytest.mark.parametrize("name", cases(ONE_PASS, [n for n in KINDS if n in ONE_PASS]))
@clips
def test_clipping_acts_on_summed_rows(name, clip):
    """Slices with duplicates are clipped as their sums are by NumPy, and that matters."""
    results, make = [], ENTRIES[name].one_hot or ENTRIES[name].make
    for by_numpy in ({}, None, clip):
        table, optimizer = new_table(), make(**(clip if by_numpy is None else {}))
        for step in range(3):
            ids = np.array([1, 5, 1, 1, 3, 5])
            values = 4**step * np.random.default_rng(step).normal(size=(6, 3))
            if by_numpy is not None:
                values = np.stack([values[ids == row].sum(0) for row in (1, 3, 5)])
                values, ids = (clipped(values, **by_numpy) if by_numpy else values), [1, 3, 5]
            slices = tf.IndexedSlices(tf.constant(values, tf.float32), tf.constant(ids))
            optimizer.apply([slices], [table])
        results.append(finalized(optimizer, table))
    unclipped, found, expected = results
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(unclipped - expected).max() > 1e-3


@pytest.mark.parametrize("name", cases(SEVERAL, [n for n in KINDS if n in SEVERAL]))
@clips
def test_clipping_of_computed_gradients_is_that_of_dense_ones(name, clip):
    """A table fed by slices with duplicates, and by a dense gradient."""
    entry, results = ENTRIES[name], []
    for one_hot in (False, True):
        table, optimizer = new_table(), (entry.one_hot or entry.make)(**clip)

        def closure(one_hot=one_hot, table=table):
            ids = tf.constant([0, 1, 2, 3, 4, 5, 6, 2, 2])
            rows = tf.one_hot(ids, 7) @ table.value if one_hot else tf.gather(table.value, ids)
            return 4 * tf.reduce_sum(tf.square(rows))

        for _ in range(2):
            optimizer.minimize(closure, [table])
        results.append(finalized(optimizer, table))
    np.testing.assert_allclose(*results, atol=1e-6)


def test_global_norm_counts_every_variable():
    table, bias = keras.Variable(np.zeros((4, 1))), keras.Variable([0.0])
    slices = tf.IndexedSlices(tf.constant([[1.0], [2.0]]), tf.constant([2, 2]))
    optimizer = tf_helen.SGD(1.0, global_clipnorm=1.0)
    optimizer.apply([slices, tf.constant([4.0])], [table, bias])
    np.testing.assert_allclose(table.numpy()[2], -3 / 5, rtol=1e-6)
    np.testing.assert_allclose(bias.numpy(), -4 / 5, rtol=1e-6)


@kinds
def test_weight_decay_of_both_kinds_on_the_rows_of_the_batch(name):
    entry = ENTRIES[name]
    if entry.decays:
        pytest.skip("absent rows move by their own rule")
    for argument in ("weight_decay", "coupled_weight_decay"):
        moved = {}
        for strength in (0.0, 0.5):
            table, optimizer = new_table(), entry.make(**{argument: strength})
            start = table.numpy().copy()
            take_step(optimizer, table, [1, 1, 4], weights_for(range(3)))
            np.testing.assert_array_equal(table.numpy()[[0, 2, 3, 5, 6]], start[[0, 2, 3, 5, 6]])
            take_step(optimizer, table, [1, 1, 4], weights_for(range(3)))
            moved[strength] = table.numpy()
        assert np.abs(moved[0.0] - moved[0.5]).max() > 1e-4, argument


@every
@pytest.mark.parametrize("argument", [{"gradient_accumulation_steps": 2}])
def test_what_would_cost_whole_tables_is_refused(name, argument):
    with pytest.raises(ValueError, match=f"{next(iter(argument))}.*instead"):
        ENTRIES[name].make(**argument)


DTYPES = [(name, dtype) for dtype in ("float16", "bfloat16", "float64") for name in ENTRIES]


@pytest.mark.parametrize(
    "name,dtype", cases(DTYPES, [(n, d) for n, d in DTYPES if n in KINDS and d != "float64"])
)
def test_dtypes(name, dtype):
    """The rule runs in at least float32; the table keeps its dtype."""
    tables = {}
    for kind in (dtype, "float32"):
        table, optimizer = new_table(dtype=kind), ENTRIES[name].make()
        for step in range(3):
            take_step(optimizer, table, [1, 1, 4], weights_for(range(3), seed=step))
        assert table.dtype == kind
        tables[kind] = finalized(optimizer, table).astype(np.float64)
    tolerance = {"float16": 5e-3, "bfloat16": 5e-2, "float64": 1e-5}[dtype]
    np.testing.assert_allclose(tables[dtype], tables["float32"], atol=tolerance)


@every
def test_config_round_trip(name):
    optimizer = ENTRIES[name].make()
    serialized = keras.saving.serialize_keras_object(optimizer)
    again = keras.saving.deserialize_keras_object(serialized)
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
    registered = f"tf_helen>{type(optimizer).__name__}"
    by_name = keras.optimizers.get({"class_name": registered, "config": optimizer.get_config()})
    assert type(by_name) is type(optimizer)
    if name != "PerVariable":  # which has no default
        assert type(keras.optimizers.get(registered)) is type(optimizer)


@kinds
def test_learning_rate_can_change_and_follow_a_schedule(name):
    optimizer, table = ENTRIES[name].make(), new_table()
    take_step(optimizer, table, [0, 1], weights_for(range(2)))
    assert float(optimizer.learning_rate) == pytest.approx(LR)
    optimizer.learning_rate = 0.0
    before = finalized(optimizer, table).copy()
    take_step(optimizer, table, [0, 1], weights_for(range(2)))
    if not ENTRIES[name].decays:
        np.testing.assert_array_equal(table.numpy(), before)
    schedule = keras.optimizers.schedules.ExponentialDecay(LR, 1, 0.5)
    optimizer, table = ENTRIES[name].make(learning_rate=schedule), new_table()
    for _ in range(3):
        take_step(optimizer, table, [0, 1], weights_for(range(2)))
    assert float(optimizer.learning_rate) == pytest.approx(LR / 8)


# Properties. Duplicates are summed, rows gathered and scattered by what all optimizers share: three
# rules are tried on many batches, and every optimizer on one.

BATCH = st.lists(st.integers(0, 6), min_size=1, max_size=12)
SEEDS = st.integers(0, 99)
FIXED = ([3, 1, 3, 6, 1, 3, 0], 5)
three_rules = pytest.mark.parametrize("name", ["SGD", "Adam", "GroupAdamAR"])


def train(name, ids, weights, table=None):
    table = new_table() if table is None else table
    optimizer = ENTRIES[name].make()
    for step in range(2):
        take_step(optimizer, table, ids, weights * (1 + step))
    return finalized(optimizer, table)


def check_order(name, ids, seed):
    weights = weights_for(ids, seed=seed)
    order = np.random.default_rng(seed).permutation(len(ids))
    one = train(name, ids, weights)
    other = train(name, np.array(ids)[order], weights[order])
    np.testing.assert_allclose(one, other, atol=2e-5)


def check_renumbering(name, ids, seed):
    weights = weights_for(ids, seed=seed)
    order = np.random.default_rng(seed).permutation(7)
    one = train(name, ids, weights)
    table = new_table()
    table.assign(table.numpy()[np.argsort(order)])
    other = train(name, order[np.array(ids)], weights, table)
    np.testing.assert_allclose(one, other[order], atol=2e-5)


def check_splitting(name, ids, seed):
    rng, results = np.random.default_rng(seed), []
    values, shares = rng.normal(size=(len(ids), 3)), rng.uniform(size=(len(ids), 1))
    for rows, slices in (
        (ids, values),
        ([*ids, *ids], np.concatenate([shares * values, (1 - shares) * values])),
    ):
        table, optimizer = new_table(dtype="float64"), ENTRIES[name].make()
        for _ in range(2):
            gradient = tf.IndexedSlices(tf.constant(slices), tf.constant(rows))
            optimizer.apply([gradient], [table])
        results.append(finalized(optimizer, table))
    np.testing.assert_allclose(*results, atol=1e-6)


@three_rules
@examples(12)
@given(ids=BATCH, seed=SEEDS)
def test_the_order_of_a_batch_does_not_matter(name, ids, seed):
    check_order(name, ids, seed)


@three_rules
@examples(12)
@given(ids=BATCH, seed=SEEDS)
def test_renumbering_rows_renumbers_the_result(name, ids, seed):
    check_renumbering(name, ids, seed)


@three_rules
@examples(12)
@given(ids=BATCH, seed=SEEDS)
def test_splitting_a_slice_changes_nothing(name, ids, seed):
    check_splitting(name, ids, seed)


@kinds
def test_one_batch_in_another_order_and_with_other_numbers(name):
    check_order(name, *FIXED)
    check_renumbering(name, *FIXED)


# Helen and CowClip mean by an occurrence one slice.
SPLITTABLE = [n for n, e in ENTRIES.items() if not e.multi_pass and "CowClip" not in n]


@pytest.mark.parametrize("name", SPLITTABLE)
def test_one_batch_split(name):
    check_splitting(name, *FIXED)


@examples(50)
@given(ids=BATCH, seed=SEEDS)
def test_sum_duplicates_is_a_sum_and_a_count(ids, seed):
    values = weights_for(ids, seed=seed).astype(np.float32)
    block = sum_duplicates(tf.IndexedSlices(tf.constant(values), tf.constant(ids)))
    expected = np.zeros((7, 3), np.float32)
    np.add.at(expected, ids, values)
    assert len(set(block.ids.numpy())) == len(block.ids)
    np.testing.assert_allclose(block.values, expected[block.ids.numpy()], atol=1e-5)
    np.testing.assert_array_equal(block.counts, np.bincount(ids)[block.ids.numpy()])


# Sharpness-aware optimizers restore exactly.

TWO_PASS = [n for n, e in ENTRIES.items() if e.two_pass and "(" not in n]


@pytest.mark.parametrize("name", TWO_PASS)
def test_with_learning_rate_zero_weights_are_bit_equal(name):
    table = new_table(50, 8)
    optimizer = ENTRIES[name].make(learning_rate=0.0, rho=0.7)
    before = table.numpy().copy()
    for step in range(5):
        ids = np.random.default_rng(step).integers(0, 50, 40)
        take_step(optimizer, table, ids, weights_for(ids, 8, step))
    np.testing.assert_array_equal(table.numpy(), before)


@pytest.mark.parametrize("name", [n for n, e in ENTRIES.items() if e.two_pass])
def test_zero_and_non_finite_gradients_perturb_nothing(name):
    table, optimizer = new_table(), ENTRIES[name].make()
    seen = []

    def closure(factor):
        seen.append(table.numpy().copy())
        return factor * tf.reduce_sum(tf.gather(table.value, [1, 1, 2]))

    for factor in (0.0, float("nan"), float("inf")):
        optimizer.build([table])
        seen.clear()
        optimizer.compute_gradients(lambda factor=factor: closure(factor), [table])
        np.testing.assert_array_equal(seen[0], seen[1])
        np.testing.assert_array_equal(table.numpy(), seen[0])


@pytest.mark.parametrize("name", [n for n, e in ENTRIES.items() if e.multi_pass])
def test_applying_one_gradient_raises_and_names_the_remedies(name):
    table, optimizer = new_table(), ENTRIES[name].make()
    with pytest.raises(RuntimeError, match=r"tf_helen\.Model.*tf_helen\.enable.*minimize"):
        optimizer.apply([tf.ones_like(table.value)], [table])


BAD = [
    (tf_helen.Helen, {"rho": -0.1}, "rho.*-0.1"),
    (tf_helen.Helen, {"lower_bound": 1.5}, r"lower_bound.*\[0, 1\].*1.5"),
    (tf_helen.Helen, {"frequency": "bach"}, "Did you mean 'batch'"),
    (tf_helen.Helen, {"base_optimizer": "adamm"}, "Did you mean 'adam'"),
    (tf_helen.Helen, {"base_optimizer": "adam", "learning_rte": 1.0}, "learning_rte"),
    (tf_helen.SAM, {"rho": float("nan")}, "rho"),
    (tf_helen.ASAM, {"eta": -1}, "eta"),
    (tf_helen.AdamAR, {"alpha": -1e-4}, "alpha"),
    (tf_helen.AdamAR, {"alpha": 2}, "alpha"),
    (tf_helen.AdamAR, {"decay": "lazy"}, "decay"),
    (tf_helen.AdamAR, {"alpha": 1e-12}, "alpha.*1e-09"),
    (tf_helen.Helen, {"base_optimizer": "sam"}, "base_optimizer.*SAM"),
    (tf_helen.Helen, {"frequency": "given"}, "frequency.*batch.*running"),
    (tf_helen.AdamAR, {"sweep_every": 0}, "sweep_every"),
    (tf_helen.Adam, {"beta_1": 1.0}, "beta_1"),
    (tf_helen.Adam, {"epsilon": -1.0}, "epsilon"),
    (tf_helen.Adam, {"learning_rate": -1.0}, "learning_rate"),
    (tf_helen.Momentum, {"momentum": 1.0}, "momentum"),
    (tf_helen.AdamW, {"weight_decay": -1.0}, "weight_decay"),
    (tf_helen.Adam, {"weight_decay": -1.0}, "weight_decay.*-1"),
    (tf_helen.SGD, {"clipnorm": -1.0}, "clipnorm.*-1"),
    (tf_helen.Helen, {"clipvalue": "abc"}, "clipvalue.*abc"),
    (tf_helen.Adagrad, {"loss_scale_factor": -3}, "loss_scale_factor.*-3"),
    (tf_helen.Adam, {"embedding_learning_rate": -1.0}, "embedding_learning_rate.*-1"),
    (tf_helen.Adam, {"learning_rate": 0.0, "embedding_learning_rate": 0.1}, "ratio.*PerVariable"),
    (tf_helen.Nadam, {"momentum_decay": -1}, "momentum_decay.*-1"),
    (tf_helen.Nadam, {"amsgrad": True}, "amsgrad=True"),
    (tf_helen.RAdam, {"amsgrad": True}, "amsgrad=True"),
    (tf_helen.RAdam, {"epsilon_hat": False}, "epsilon_hat=False"),
    (tf_helen.AMSGrad, {"amsgrad": False}, "amsgrad=False"),
    (tf_helen.AdamW, {"counter_halflife": 0.5}, r"counter_halflife.*0\.5"),
    (tf_helen.AdagradW, {"weight_decay": -0.1}, "weight_decay.*-0.1"),
    (tf_helen.RowWiseAdagrad, {"initial_accumulator_value": -1}, "initial_accumulator_value.*-1"),
    (tf_helen.RowWiseAdagrad, {"epsilon": "x"}, "epsilon.*x"),
    (tf_helen.RowWiseRMSpropAR, {"alpha": -0.1}, "alpha.*-0.1"),
    (tf_helen.RowWiseRMSpropAR, {"alpha": "auto"}, "alpha.*auto"),
    (tf_helen.RowWiseRMSpropAR, {"min_shrinkage": 1.5}, r"min_shrinkage.*\[0, 1\].*1.5"),
    (tf_helen.RowWiseRMSpropAR, {"beta": 1}, r"beta.*\[0, 1\).*1"),
    (tf_helen.AdaHessian, {"power": 1.5}, r"power.*\[0, 1\].*1.5"),
    (tf_helen.AdaHessian, {"average": "rows"}, "Did you mean 'row'"),
    (tf_helen.AdaHessian, {"amsgrad": True}, "amsgrad=True"),
    (tf_helen.GroupAdam, {"l1": -1}, "l1.*-1"),
    (tf_helen.GroupAdam, {"l2": float("nan")}, "l2.*nan"),
    (tf_helen.GroupAdam, {"l12": 0.1}, "l12"),
    (tf_helen.GroupAMSGrad, {"l21": {"embedding": -2}}, r"l21\['embedding'\].*-2"),
    (tf_helen.GroupAdamAR, {"alpha": 2}, "alpha"),
    (tf_helen.GroupAdagrad, {"l21": "strong"}, "l21.*strong"),
    (tf_helen.GroupMomentum, {"l2": {"*": None}}, r"l2\['\*'\].*None"),
    (tf_helen.GroupAdaHessian, {"l1": -1}, "l1.*-1"),
    (tf_helen.GroupFTRL, {"learning_rate_power": 0.5}, "learning_rate_power.*-0.5"),
    (tf_helen.GroupFTRL, {"l21": -1}, "l21.*-1"),
    (tf_helen.GroupFTRL, {"beta": -1}, "beta.*-1"),
    (tf_helen.GroupFTRL, {"l2_shrinkage": -1}, "l2_shrinkage.*-1"),
    (tf_helen.CowClip, {"ratio": -1}, "ratio.*-1"),
    (tf_helen.CowClip, {"zeta": -1e-5}, "zeta.*-1e-05"),
    (tf_helen.CowClip, {"threshold": "papr"}, "Did you mean 'paper'"),
    (tf_helen.CowClip, {"coupled_weight_decay": -1}, "coupled_weight_decay.*-1"),
    (tf_helen.FrequencyAware, {"rho": -1}, "rho.*-1"),
    (tf_helen.FrequencyAware, {"cap": 0.5}, r"cap.*\[1, .*0\.5"),
    (tf_helen.FrequencyAware, {"count": "step"}, "Did you mean 'steps'"),
    (tf_helen.FrequencyAware, {"base_optimizer": "sam"}, r"Helen\(base_optimizer=FrequencyAware"),
    (tf_helen.Adam, {"l2": 0.1}, "now named `coupled_weight_decay`"),
    (tf_helen.SGD, {"nesterov": True}, "nesterov.*momentum"),
    (tf_helen.CowClip, {"base_optimizer": "helen"}, r"Helen\(base_optimizer=CowClip"),
    (tf_helen.CowClip, {"base_optimizer": keras.optimizers.Adam()}, "optimizer of tf_helen"),
    (tf_helen.PerVariable, {"optimizers": {}}, "optimizers.*patterns"),
    (tf_helen.PerVariable, {"optimizers": "adam"}, "optimizers.*adam"),
    (tf_helen.PerVariable, {"optimizers": {"*": "adamm"}}, "Did you mean 'adam'"),
    (tf_helen.PerVariable, {"optimizers": {"*": "sam"}}, r"Helen\(base_optimizer=PerVariable"),
]


# No values in the names: workers must collect the same ones.
BAD_NAMES = [f"{cls.__name__}-{i}-{'-'.join(given)}" for i, (cls, given, _) in enumerate(BAD)]


@pytest.mark.parametrize("cls,arguments,message", BAD, ids=BAD_NAMES)
def test_bad_arguments_are_named_at_construction(cls, arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        cls(**arguments)


def test_an_instance_and_arguments_for_it_do_not_mix():
    with pytest.raises(ValueError, match=r"learning_rate.*with an instance of Adam"):
        tf_helen.Helen(learning_rate=0.1, base_optimizer=tf_helen.Adam())


@kinds
def test_excluded_variables_do_not_decay(name):
    optimizer, table = ENTRIES[name].make(weight_decay=0.5), new_table()
    plain, other = ENTRIES[name].make(weight_decay=0.0), new_table()
    optimizer.exclude_from_weight_decay(var_names=["table"])
    for one, rows in ((optimizer, table), (plain, other)):
        take_step(one, rows, [1, 1, 4], weights_for(range(3)))
    np.testing.assert_array_equal(finalized(optimizer, table), finalized(plain, other))


def test_a_step_that_is_not_taken_leaves_stored_rows_and_counters():
    """Helen settles rows before it perturbs them; without `apply` all is as it was."""
    table, optimizer = new_table(), ENTRIES["Helen(AdamAR)"].make()
    for step in range(4):
        take_step(optimizer, table, [step, 6], weights_for(range(2), seed=step))
    before = [table.numpy().copy(), *state_of(optimizer)]
    loss = lambda: tf.reduce_sum(tf.gather(table.value, [0, 1, 6]) ** 2)  # noqa: E731
    optimizer.compute_gradients(loss, [table])
    for value, now in zip(before, [table.numpy(), *state_of(optimizer)], strict=True):
        np.testing.assert_array_equal(value, now)


def compiled_step(optimizer, table, jit):
    weights = np.ones((4, 3))
    return tf.function(
        lambda ids: take_step(optimizer, table, ids, weights), jit_compile=jit, autograph=False
    )


@pytest.mark.parametrize("name", cases())
def test_compiles_with_xla(name):
    """Keras compiles the step of a model on one GPU by default."""
    results = []
    for jit in (False, True):
        optimizer, table = ENTRIES[name].make(), new_table()
        if hasattr(optimizer, "sweep_every"):
            optimizer.sweep_every = 2
        optimizer.build([table])
        step = compiled_step(optimizer, table, jit)
        for ids in ([0, 1, 1, 6], [2, 2, 3, 3], [6, 1, 0, 5]):
            step(tf.constant(ids))
        results.append(finalized(optimizer, table))
    np.testing.assert_allclose(*results, atol=1e-5)


@kinds
def test_a_batch_that_is_not_finite_spoils_its_own_rows_only(name):
    table, optimizer = new_table(), ENTRIES[name].make()
    take_step(optimizer, table, np.arange(7), weights_for(range(7)))
    before = finalized(optimizer, table).copy()
    take_step(optimizer, table, [1, 1, 4], np.full((3, 3), np.nan))
    take_step(optimizer, table, [0, 2], weights_for(range(2)))
    after, others = finalized(optimizer, table), [0, 2, 3, 5, 6]
    assert np.all(np.isfinite(after[others]))
    assert not np.array_equal(after[[0, 2]], before[[0, 2]])
    if not ENTRIES[name].decays:
        np.testing.assert_array_equal(after[[3, 5, 6]], before[[3, 5, 6]])


@kinds
def test_loss_scale_factor_is_undone(name):
    if ENTRIES[name].multi_pass:
        pytest.skip("belongs to the base optimizer, through the multi-pass trainer")
    results = []
    for factor in (None, 1024.0):
        table, optimizer = new_table(), ENTRIES[name].make(loss_scale_factor=factor)
        gradient = tf.IndexedSlices(tf.ones([2, 3]) * (factor or 1), tf.constant([1, 1]))
        optimizer.apply([gradient], [table])
        results.append(finalized(optimizer, table))
    np.testing.assert_array_equal(*results)


@every
def test_state_has_no_surprises(name):
    """Every state variable is finite after training, and named after its table."""
    table, optimizer = new_table(), ENTRIES[name].make()
    for step in range(3):
        take_step(optimizer, table, [0, 0, 2], weights_for(range(3), seed=step))
    assert all(np.all(np.isfinite(value)) for value in state_of(optimizer))
    base = optimizer.record_owner(table)
    assert all("table" in slot.name for slot in base.slots_of(table).values())


def test_settings_that_compiled_steps_hold_cannot_be_assigned():
    fixed = [
        (tf_helen.AdamAR(), "alpha", 0.5),
        (tf_helen.Adam(), "beta_1", 0.5),
        (tf_helen.GroupAdam(), "l21", 0.5),
        (tf_helen.SAM(), "rho", 0.5),
        (tf_helen.Helen(), "lower_bound", 0.5),
        (tf_helen.CowClip(), "ratio", 0.5),
        (tf_helen.AdaHessian(), "seed", 3),
        (tf_helen.SGD(), "coupled_weight_decay", 0.1),
    ]
    for optimizer, name, value in fixed:
        before = getattr(optimizer, name)
        with pytest.raises(AttributeError, match=f"`{name}`.*{value}.*new optimizer"):
            setattr(optimizer, name, value)
        assert getattr(optimizer, name) == before
        assert optimizer.get_config()[name] == before


def test_sgd_with_momentum_is_momentum():
    for nesterov in (False, True):
        moved = []
        for cls in (tf_helen.SGD, tf_helen.Momentum):
            optimizer, table = cls(0.1, momentum=0.9, nesterov=nesterov), new_table()
            for step in range(3):
                take_step(optimizer, table, [1, 1, 4], weights_for(range(3)) + step)
            moved.append(table.numpy())
            assert cls.from_config(optimizer.get_config()).momentum == 0.9
        np.testing.assert_array_equal(*moved)


def test_a_rule_needs_no_class_of_its_own():
    rule = tf_helen.rules.AdamRule(beta_1=0.8)
    rule = tf_helen.rules.GroupLasso(tf_helen.rules.IntervalDecay(rule, alpha=0.01), l21=0.01)
    plain = tf_helen.RowSparseOptimizer(0.1, rule=rule)
    named = tf_helen.GroupAdamAR(0.1, beta_1=0.8, alpha=0.01, l21=0.01, epsilon_hat=False)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(plain))
    moved = []
    for optimizer in (plain, named, copy):
        table = new_table()
        for ids in ([1, 1, 4], [2, 3, 2], [1, 5, 6]):
            take_step(optimizer, table, ids, weights_for(range(3)))
        moved.append(finalized(optimizer, table))
    np.testing.assert_array_equal(moved[0], moved[1])
    np.testing.assert_array_equal(moved[0], moved[2])
    assert copy.rule == rule
