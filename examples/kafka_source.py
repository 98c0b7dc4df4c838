"""A source of `zoo.read_stream`: the messages of Kafka topics.

Works with the consumer of kafka-python (`pip install kafka-python`), created with
`enable_auto_commit=False`: the checkpoint of the training holds the position, not Kafka.

    consumer = kafka.KafkaConsumer(bootstrap_servers="localhost:9092", enable_auto_commit=False)
    source = KafkaSource(consumer, [kafka.TopicPartition("clicks", 0)], decode=json.loads)
    data = zoo.read_stream(source, "data/clicks", batch_size=512)
    resume = tf_helen.callbacks.ExactResume("states", minutes=1, stream=data.stream)
    model.fit(data, callbacks=[resume])

After a restart, the same lines continue after the last batch that was trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any


class KafkaSource:
    """Messages of some partitions; the position is the next offset of each.

    Args:
        consumer: `kafka.KafkaConsumer`, or an object with its methods `assign`, `seek`, `position`
            and `__next__`.
        partitions: sequence of `kafka.TopicPartition`, always in the same order.
        decode: function from the bytes of a message to a dict by column, such as `json.loads`. A
            message that it cannot decode is a damaged row.
    """

    def __init__(
        self,
        consumer: Any,
        partitions: Sequence[Any],
        decode: Callable[[bytes], Mapping[str, Any]],
    ):
        self._consumer, self._partitions, self._decode = consumer, list(partitions), decode
        consumer.assign(self._partitions)
        # Noted here: `consumer.position` is that of the messages which it fetched ahead.
        self._next = {self._name(p): consumer.position(p) for p in self._partitions}

    def __iter__(self) -> Iterator[Any]:
        for message in self._consumer:
            self._next[f"{message.topic}/{message.partition}"] = message.offset + 1
            try:
                yield self._decode(message.value)
            except ValueError as error:  # read_stream counts and names it
                yield f"offset {message.offset}: {error}"

    def position(self) -> dict[str, int]:
        """Returns the next offset of each partition."""
        return dict(self._next)

    def seek(self, position: Mapping[str, int]) -> None:
        """Continues at the offsets of an earlier position."""
        for partition in self._partitions:
            self._consumer.seek(partition, position[self._name(partition)])
        self._next = dict(position)

    @staticmethod
    def _name(partition: Any) -> str:
        return f"{partition.topic}/{partition.partition}"
