"""Streams give the batches of a prepared folder, and a checkpoint holds their position."""

import keras
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import flight

import tf_helen
import zoo
from tf_helen.callbacks import ExactResume
from zoo.data.vocabulary import save_vocabulary
from zoo.streaming.source import FlightSource, IterableSource, as_source

SCHEMA = zoo.Schema(
    "clicks", [zoo.Categorical("user", 31), zoo.Categorical("item", 13)], [zoo.Numeric("price")]
)
ROWS = 1000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("clicks"))
    SCHEMA.save(folder)
    for name, size in (("user", 31), ("item", 13)):
        words = ["<oov>", *(f"{name[0]}{i}" for i in range(size - 1))]
        save_vocabulary(folder, name, words, np.ones(size, np.int64))
    return folder


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return [
        {"user": f"u{rng.integers(0, 30)}", "item": f"i{rng.integers(0, 12)}",
         "price": float(rng.normal()), "label": int(rng.random() < 0.4)}
        for _ in range(ROWS)
    ]  # fmt: skip


def taken(data):
    """All rows, in order."""
    parts = list(data.as_numpy_iterator())
    ids = np.concatenate([features["ids"] for features, _ in parts])
    numbers = np.concatenate([features["numeric"] for features, _ in parts])
    return ids, numbers, np.concatenate([label for _, label in parts])


def test_a_stream_gives_what_files_give(folder, rows, tmp_path):
    written = {
        "ids": np.array([[1 + int(r["user"][1:]), 1 + int(r["item"][1:])] for r in rows]),
        "numeric": np.array([[r["price"]] for r in rows], np.float32),
        "label": np.array([r["label"] for r in rows]),
    }
    zoo.write_tfrecords(str(tmp_path), SCHEMA, "train", [written])
    files = zoo.read_tfrecords(str(tmp_path), "train", batch_size=128)
    batches = [pa.RecordBatch.from_pylist(rows[i : i + 77]) for i in range(0, ROWS, 77)]
    for source in (rows, iter(rows), batches):
        stream = zoo.read_stream(source, folder, batch_size=128)
        assert stream.element_spec == files.element_spec
        for found, expected in zip(taken(stream), taken(files), strict=True):
            np.testing.assert_array_equal(found, expected)
        assert stream.stream.lost == 0 and stream.stream.read == ROWS
    dropped = zoo.read_stream(rows, folder, batch_size=128, drop_remainder=True)
    assert len(taken(dropped)[0]) == 7 * 128


class Stopped(Exception):
    """Ends a process, in a test."""


def trained(folder, source, states, stop=None, size=1, max_lost=1e-4):
    """Trains on a stream; stops before a batch."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    model = zoo.DNN(SCHEMA, embedding_dim=3, hidden_units=(4,), dropout=0.1)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(tf_helen.Adam(0.01), loss, steps_per_execution=size)
    data = zoo.read_stream(source, folder, batch_size=32, max_lost=max_lost)
    resume = ExactResume(states, minutes=0, verbose=0, stream=data.stream)

    def end(batch, logs):
        if stop is not None and batch + 1 >= stop:
            raise Stopped

    callbacks = [resume, keras.callbacks.LambdaCallback(on_train_batch_end=end)]
    history = model.fit(data, callbacks=callbacks, verbose=0)
    return model.get_weights(), history.history["loss"], data.stream


def record_batches(rows):
    sizes = np.random.default_rng(1).integers(1, 90, 100)
    starts = np.cumsum(sizes) - sizes
    return [pa.RecordBatch.from_pylist(rows[a : a + n]) for a, n in zip(starts, sizes, strict=True)
            if a < len(rows)]  # fmt: skip


@pytest.mark.parametrize("kind", [pytest.param("dicts", marks=pytest.mark.slow), "record batches"])
@pytest.mark.parametrize("size", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_a_resumed_training_neither_loses_nor_repeats_rows(folder, rows, tmp_path, kind, size):
    damaged = [*rows[:40], {"label": 7}, *rows[40:900], {"label": -1}, *rows[900:]]
    items = damaged if kind == "dicts" else record_batches(
        [{"user": None, "item": None, "price": None, **row} for row in damaged]
    )  # fmt: skip
    how = {"size": size, "max_lost": 1e-3}
    whole = trained(folder, items, str(tmp_path / "a"), **how)
    states = str(tmp_path / "b")
    for stop in (5, 17):
        with pytest.raises(Stopped):
            trained(folder, items, states, stop, **how)
    again = trained(folder, items, states, **how)
    for found, expected in zip(again[0], whole[0], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert again[1] == whole[1]
    assert again[2].state() == whole[2].state()
    assert again[2].state()["read"] == ROWS and again[2].state()["lost"] == 2


def as_position(stream):
    return stream._source.position()


def test_what_is_read_ahead_is_not_counted(folder, rows):
    stream = zoo.read_stream(rows, folder, batch_size=100).stream
    batches = stream.batches()
    for _ in range(4):
        next(batches)
    assert stream.state()["position"] == 0
    stream.advance(3)
    assert stream.state() == {"position": 300, "skip": 0, "read": 300, "lost": 0}
    first = next(stream.batches())  # a new iteration continues after what was trained
    assert first["user"].tolist() == [row["user"].encode() for row in rows[300:400]]
    position = as_position(stream)
    list(batches)  # the old one does not move the source
    assert as_position(stream) == position
    with pytest.raises(ValueError, match="5 batches were trained, and 1 were read"):
        stream.advance(5)


def test_too_many_damaged_rows_are_an_error(folder, rows):
    data = zoo.read_stream([*rows[:50], {"label": 2}, {}, *rows[50:]], folder, batch_size=64)
    with pytest.raises(Exception, match=r"2 of 2 rows of the stream are damaged.*label.*2, allo"):
        taken(data)
    assert data.stream.damages[1] == "row before position 52: the column 'label' is missing"


def test_sources_that_cannot_go_back_say_so(rows):
    source = IterableSource(iter(rows), kept=10)
    for _ in zip(range(100), source, strict=False):
        pass
    back = source.position() - 5
    source.seek(back)
    assert next(iter(source)) == rows[back]
    with pytest.raises(zoo.DataError, match="cannot go back by"):
        source.seek(0)
    with pytest.raises(zoo.DataError, match="the rows end after 1,000"):
        IterableSource(rows).seek(1001)
    with pytest.raises(ValueError, match=r"iterable of rows.*Received: int"):
        as_source(3)
    for wrong, name in (({"batch_size": 0}, "batch_size"), ({"max_lost": 2}, "max_lost")):
        with pytest.raises(zoo.DataError, match=name):
            zoo.read_stream(rows, "absent", SCHEMA, **wrong)


class Server(flight.FlightServerBase):
    """Serves rows from the one that the ticket names."""

    def __init__(self, rows):
        super().__init__("grpc://127.0.0.1:0")
        self._rows, self.tickets = rows, []

    def do_get(self, context, ticket):
        self.tickets.append(ticket.ticket)
        table = pa.Table.from_pylist(self._rows[int(ticket.ticket) :])
        batches = table.to_batches(max_chunksize=70)
        return flight.GeneratorStream(table.schema, iter(batches))


@pytest.mark.slow
@pytest.mark.parametrize("from_row", [True, False])
def test_a_flight_server_is_a_source(folder, rows, tmp_path, from_row):
    with Server(rows) as server:
        client = flight.connect(f"grpc://127.0.0.1:{server.port}")

        def source():
            if from_row:
                return FlightSource(client, lambda row: flight.Ticket(str(row).encode()))
            return FlightSource(client, flight.Ticket(b"0"))

        whole = trained(folder, rows, str(tmp_path / "a"))
        with pytest.raises(Stopped):
            trained(folder, source(), str(tmp_path / "b"), stop=8)
        again = trained(folder, source(), str(tmp_path / "b"))
        for found, expected in zip(again[0], whole[0], strict=True):
            np.testing.assert_array_equal(found, expected)
        expected = b"0" if not from_row else b"210"  # the record batch of row 8 * 32
        assert server.tickets[-1] == expected
        with pytest.raises(zoo.DataError, match="the stream ends 1,000 rows before"):
            too_far = FlightSource(client, flight.Ticket(b"0"))
            too_far.seek(2000)
            list(too_far)
        client.close()
