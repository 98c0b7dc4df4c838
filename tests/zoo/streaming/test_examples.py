"""The examples of sources and of online training run."""

import importlib.util
import json
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.streaming.stream import Stream

EXAMPLES = Path(__file__).parents[3] / "examples"
Partition = namedtuple("Partition", "topic partition")
Message = namedtuple("Message", "topic partition offset value")


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Consumer:
    """The methods of `kafka.KafkaConsumer` that the source calls, on messages in memory."""

    def __init__(self, messages):
        self._messages, self._offsets = messages, {}

    def assign(self, partitions):
        self._offsets = dict.fromkeys(partitions, 0)

    def position(self, partition):
        return self._offsets[partition]

    def seek(self, partition, offset):
        self._offsets[partition] = offset

    def __iter__(self):
        return self

    def __next__(self):
        for partition, offset in sorted(self._offsets.items(), key=lambda pair: pair[1]):
            if offset < len(self._messages[partition]):
                self._offsets[partition] = offset + 1
                return Message(*partition, offset, self._messages[partition][offset])
        raise StopIteration


def test_a_consumer_of_kafka_is_a_source():
    schema = zoo.Schema("s", [zoo.Categorical("user", 9, encoding="hash")])
    parts = [Partition("clicks", 0), Partition("clicks", 1)]
    messages = {part: [json.dumps({"user": f"{part.partition}-{i}", "label": 1}).encode()
                       for i in range(50)] for part in parts}  # fmt: skip
    messages[parts[1]][7] = b"{not json"

    def stream():
        source = example("kafka_source").KafkaSource(Consumer(messages), parts, json.loads)
        return Stream(source, schema, 16, False, max_lost=1.0)

    whole = stream()
    users = np.concatenate([batch["user"] for batch in whole.batches()])
    assert len(users) == 99 and whole.lost == 1
    assert "a row is a str, not a dict: 'offset 7: " in whole.damages[0]
    first = stream()
    batches = first.batches()
    for _ in range(4):  # two of them are read ahead
        next(batches)
    first.advance(2)
    state = json.loads(json.dumps(first.state()))
    assert state["read"] == 32 and state["lost"] == 1
    assert sum(state["position"].values()) == 33
    second = stream()
    second.restore(state)
    rest = np.concatenate([batch["user"] for batch in second.batches()])
    np.testing.assert_array_equal(rest, users[32:])


@pytest.mark.slow
def test_online_training_continues(capsys):
    example("online_training").main()
    before, after = [line for line in capsys.readouterr().out.splitlines() if "'read'" in line]
    assert "'read': 6000" in before and "'read': 20000" in after
