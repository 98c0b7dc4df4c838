"""The ids of a `DynamicEmbedding` against a dict: admissions, lookups, evictions, files."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import Phase, settings, stateful
from hypothesis import strategies as st

import tf_helen
from tf_helen.layers import Admission, DynamicEmbedding, Eviction

FIELDS = {"user": 4, "item": 3}
START = 1024.0


class Field:
    """A field as a dict from id to row, last step, occurrences and value of the row."""

    def __init__(self, capacity):
        self.capacity, self.used = capacity, 0
        self.known = {}
        self.default = START
        self.tallies = [0, 0, 0]

    def train(self, ids, clock, policy):
        for known in set(ids) & set(self.known):
            self.known[known]["last"] = clock
            self.known[known]["count"] += ids.count(known)
            self.known[known]["value"] -= ids.count(known)
        new = [x for x in dict.fromkeys(ids) if x not in self.known]
        unused = list(range(self.used + 1, self.capacity + 1))[: len(new)]
        self.used += len(unused)
        keys = {"age": lambda e: (e["last"], e["row"]), "count": lambda e: (e["count"], e["row"])}
        old = [(x, e) for x, e in self.known.items() if e["last"] < clock]
        old.sort(key=lambda pair: keys[policy](pair[1]))
        victims = old[: len(new) - len(unused)]
        for victim, _ in victims:
            del self.known[victim]
        rows = unused + [entry["row"] for _, entry in victims]
        for each, row in zip(new, rows, strict=False):
            times = ids.count(each)
            entry = {"row": row, "last": clock, "count": times, "value": START - times}
            self.known[each] = entry
        for each in new[len(rows) :]:
            self.default -= ids.count(each)
        self.tallies = [
            have + more
            for have, more in zip(
                self.tallies, (len(rows), len(victims), len(new) - len(rows)), strict=True
            )
        ]


class Machine(stateful.RuleBasedStateMachine):
    """A layer whose rows start at `START` and lose 1 per occurrence, beside dicts."""

    saved = stateful.Bundle("saved")

    @stateful.initialize(
        policy=st.sampled_from(["age", "count"]), dtype=st.sampled_from(["int64", "string"])
    )
    def begin(self, policy, dtype):
        self.policy, self.dtype = policy, dtype
        self.fields = {name: Field(size) for name, size in FIELDS.items()}
        self.clock = 0
        self.make()

    def make(self):
        self.layer = DynamicEmbedding(
            {name: field.capacity for name, field in self.fields.items()},
            1,
            id_dtype=self.dtype,
            # So many that every row of a field is a candidate.
            eviction=Eviction(self.policy, sample=16),
            embeddings_initializer=keras.initializers.Constant(START),
        )
        self.layer.build()
        self.optimizer = tf_helen.SGD(1.0)
        self.optimizer.build(self.layer.trainable_variables)

    def encoded(self, ids):
        ids = np.asarray(ids, np.int64).reshape(-1, len(FIELDS))
        return ids if self.dtype == "int64" else ids.astype(str).astype(object)

    @stateful.rule(ids=st.lists(st.tuples(st.integers(-2, 8), st.integers(0, 5)), max_size=7))
    def train(self, ids):
        given = self.encoded(ids)
        before = self.values()
        with tf.GradientTape() as tape:
            out = self.layer(given, training=True)
            loss = tf.reduce_sum(out)
        self.optimizer.apply([tape.gradient(loss, self.layer.embeddings)], [self.layer.embeddings])
        for place, (name, field) in enumerate(self.fields.items()):
            column = [row[place] for row in ids]
            field.train(column, self.clock, self.policy)
            # The forward pass reads the rows before the step.
            for i, each in enumerate(column):
                start = before[name].get(each, START)
                if each not in field.known:
                    start = before[name][None]
                elif each not in before[name] or field.known[each]["count"] <= column.count(each):
                    start = START
                assert float(out[i, place, 0]) == start
        self.clock += 1

    def values(self):
        return {
            name: {**{x: e["value"] for x, e in field.known.items()}, None: field.default}
            for name, field in self.fields.items()
        }

    @stateful.rule(ids=st.lists(st.tuples(st.integers(-2, 8), st.integers(0, 5)), max_size=5))
    def look_up(self, ids):
        out = self.layer(self.encoded(ids)).numpy()[..., 0]
        for place, values in enumerate(self.values().values()):
            column = [row[place] for row in ids]
            expected = [values.get(x, values[None]) for x in column]
            np.testing.assert_array_equal(out[:, place], expected)

    @stateful.rule(target=saved)
    def save(self):
        store = {}
        self.layer.save_own_variables(store)
        fields = {
            name: (
                {x: dict(entry) for x, entry in field.known.items()},
                field.used,
                field.default,
                list(field.tallies),
                field.capacity,
            )
            for name, field in self.fields.items()
        }
        return {k: np.array(v) for k, v in store.items()}, fields, self.clock

    @stateful.rule(state=saved, more=st.integers(0, 2), anew=st.booleans())
    def restore(self, state, more, anew):
        store, fields, clock = state
        self.clock = clock
        for name, (known, used, default, tallies, capacity) in fields.items():
            now = self.fields[name]
            now.known = {x: dict(entry) for x, entry in known.items()}
            now.used, now.default, now.tallies = used, default, list(tallies)
            if anew:
                now.capacity = capacity + more
            elif used > now.capacity:
                anew, now.capacity = True, capacity
        if anew or any(f.used > f.capacity for f in self.fields.values()):
            for name, (*_, capacity) in fields.items():
                self.fields[name].capacity = max(capacity, self.fields[name].capacity)
            self.make()
        self.layer.load_own_variables(store)

    @stateful.invariant()
    def rows_ids_and_counts_are_those_of_the_dicts(self):
        if not hasattr(self, "layer"):
            return
        table = self.layer.table_state()
        for name, field in self.fields.items():
            found = table[name]
            known = {
                row: (int(x), last, count)
                for row, x, last, count in zip(
                    *(found[key].tolist() for key in ("row", "id", "last_step", "count")),
                    strict=True,
                )
            }
            expected = {e["row"]: (x, e["last"], e["count"]) for x, e in field.known.items()}
            assert known == expected
            assert [found[key] for key in ("admitted", "evicted", "refused")] == field.tallies
            assert self.layer.rows_of(name, self.encoded_column(field.known)).tolist() == [
                entry["row"] for entry in field.known.values()
            ]

    def encoded_column(self, ids):
        ids = np.array(list(ids), np.int64)
        return ids if self.dtype == "int64" else ids.astype(str).astype(object)


# Without shrinking, which takes minutes in eager mode.
PHASES = (Phase.explicit, Phase.generate)
TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=10, stateful_step_count=12, phases=PHASES)


@pytest.mark.slow
class TestLongMachine(Machine.TestCase):
    settings = settings(max_examples=60, stateful_step_count=40)


def trained(layer, batches, optimizer=None):
    """Trains a layer on batches of ids, and returns the optimizer."""
    if not layer.built:
        layer.build()
    optimizer = optimizer or tf_helen.SGD(0.0)
    optimizer.build(layer.trainable_variables)
    for ids in batches:
        ids = np.array(ids)
        optimizer.minimize(
            lambda ids=ids: tf.reduce_sum(layer(ids, training=True)), layer.trainable_variables
        )
    return optimizer


def ids_of(layer, field="ids"):
    return set(layer.table_state()[field]["id"].tolist())


POLICIES = [
    (Eviction("age", sample=9), {2, 3, 9}),
    (Eviction("count", sample=9), {1, 3, 9}),
    (Eviction("score", decay=0.9, sample=9), {1, 3, 9}),
    (Eviction("score", decay=0.1, sample=9), {2, 3, 9}),
]


@pytest.mark.parametrize(("eviction", "left"), POLICIES)
def test_a_policy_evicts_the_row_that_it_names(eviction, left):
    layer = DynamicEmbedding(3, 2, eviction=eviction)
    trained(layer, [[1, 1, 1, 1], [2], [3, 3], [9]])
    assert ids_of(layer) == left


def test_the_policy_l2_evicts_the_row_with_the_smallest_norm():
    layer = DynamicEmbedding(3, 2, eviction=Eviction("l2", sample=9))
    trained(layer, [[1, 2, 3]])
    values = layer.embeddings.numpy()
    values[1:] = [[3.0, 0.0], [0.0, -1.0], [2.0, 2.0]]
    layer.embeddings.assign(values)
    trained(layer, [[9]])
    assert ids_of(layer) == {1, 3, 9}


def test_ages_in_time_do_not_depend_on_the_number_of_steps():
    layer = DynamicEmbedding(2, 2, eviction=Eviction("age", unit="time", sample=9))
    layer.build()
    optimizer = tf_helen.SGD(0.0)
    for ids, time in (([1], 100), ([2], 50), ([1], 40), ([3], 200)):
        optimizer.minimize(
            lambda i=ids, t=time: tf.reduce_sum(
                layer(np.array(i), training=True, times=np.array([t]))
            ),
            layer.trainable_variables,
        )
    # 2 and 1 were last seen at 100: the clock does not go back; the tie goes to the first row.
    assert ids_of(layer) == {2, 3}
    with pytest.raises(ValueError, match=r"needs the time of each example.*times=None"):
        layer(np.array([1]), training=True)
    with pytest.raises(TypeError, match=r"must be integers. Received the dtype float"):
        layer(np.array([1]), training=True, times=np.array([0.5]))


def test_an_id_is_admitted_at_its_minimal_count():
    layer = DynamicEmbedding({"a": 9, "b": 9}, 2, admission=Admission(min_count=3))
    trained(layer, [[[1, 5], [1, 1]], [[2, 5], [7, 5]]])
    assert ids_of(layer, "a") == set()
    assert ids_of(layer, "b") == {5}  # the fields have their own counts
    trained(layer, [[[1, 4], [3, 4]]])
    assert ids_of(layer, "a") == {1}


def test_probability_admits_a_share_of_the_occurrences():
    layer = DynamicEmbedding(10_000, 1, admission=Admission(probability=0.1))
    trained(layer, [np.arange(4000)])
    once = len(ids_of(layer))
    assert 300 < once < 500  # 400, standard deviation 19
    trained(layer, [np.repeat(np.arange(4000, 8000), 10)])
    assert abs(len(ids_of(layer)) - once - 4000 * (1 - 0.9**10)) < 150


def test_a_min_age_protects_rows():
    layer = DynamicEmbedding(2, 1, eviction=Eviction("age", sample=9, min_age=3))
    trained(layer, [[1, 2], [3], [3]])
    assert ids_of(layer) == {1, 2}
    trained(layer, [[3]])
    assert ids_of(layer) == {2, 3}
    assert layer.table_state()["ids"]["refused"] == 2


def test_a_batch_with_more_ids_than_rows_reads_the_default_row():
    layer = DynamicEmbedding(3, 2)
    trained(layer, [[1, 2]])
    out = layer(np.array([2, 7, 8, 9, 8]), training=True).numpy()
    table = layer.embeddings.numpy()
    rows = layer.rows_of("ids", [2, 7, 8, 9, 8])
    assert rows.tolist() == [2, 3, 1, 0, 1]
    np.testing.assert_array_equal(out, table[rows])
    assert layer.table_state()["ids"]["refused"] == 1


def test_without_evictions_new_ids_of_a_full_table_are_refused():
    layer = DynamicEmbedding(2, 2, eviction=None)
    trained(layer, [[1, 2], [3, 4], [3, 1]])
    assert ids_of(layer) == {1, 2}
    assert [layer.table_state()["ids"][k] for k in ("admitted", "evicted", "refused")] == [2, 0, 3]


def test_new_rows_begin_at_the_mean_of_their_field():
    layer = DynamicEmbedding({"a": 3, "b": 3}, 2, new_rows="mean", eviction=Eviction(sample=9))
    optimizer = trained(layer, [[[1, 1], [2, 2]]], tf_helen.Momentum(0.0))
    values = layer.embeddings.numpy()
    values[1:3], values[5:7] = [[1.0, 5.0]], [[2.0, -3.0]]
    layer.embeddings.assign(values)
    trained(layer, [[[3, 3]], [[4, 2]]], optimizer)
    np.testing.assert_allclose(layer.row("a", layer.rows_of("a", [3])[0]), [1.0, 5.0])
    np.testing.assert_allclose(layer.row("a", layer.rows_of("a", [4])[0]), [1.0, 5.0])
    np.testing.assert_allclose(layer.row("b", layer.rows_of("b", [3])[0]), [2.0, -3.0])
    store = {}
    layer.save_own_variables(store)
    assert store["mean"].tolist() == [[1.0, 5.0], [2.0, -3.0]]


def test_ids_that_are_absent_too_long_expire_and_leave_a_free_row():
    layer = DynamicEmbedding(5, 2, eviction=Eviction("count", expire_after=3))
    optimizer = trained(layer, [[1, 2], [1], [1], [1]])
    assert ids_of(layer) == {1, 2}
    trained(layer, [[1]] * 4, optimizer)  # 16 of 2 rows are drawn in each step
    state = layer.table_state()["ids"]
    assert (state["id"].tolist(), state["evicted"]) == ([1], 1)
    assert layer.rows_of("ids", [1, 2]).tolist() == [1, 0]
    trained(layer, [[3, 4, 5], [6]], optimizer)
    # The free row is taken before that of an id.
    assert layer.rows_of("ids", [6]).tolist() == [2]
    assert layer.table_state()["ids"]["evicted"] == 1
    trained(layer, [[1, 2]], optimizer)
    state = layer.table_state()["ids"]
    assert (state["admitted"], state["evicted"], state["refused"]) == (7, 2, 0)
    store = {}
    layer.save_own_variables(store)
    again = DynamicEmbedding(5, 2, eviction=Eviction("count", expire_after=3))
    again.build()
    again.load_own_variables(store)
    assert again.rows_of("ids", range(8)).tolist() == layer.rows_of("ids", range(8)).tolist()
