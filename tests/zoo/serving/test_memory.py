"""The memory of a process that serves an export does not grow."""

import pytest
import tensorflow as tf


def resident_bytes():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.slow
@pytest.mark.parametrize("name", ["serving_default", "user_once"])
def test_memory_is_flat_over_many_calls(loaded, name):
    serve = loaded.signatures[name]

    def call(number):
        text = tf.constant([f"value {number}"])  # never seen before
        numbers = tf.constant([float(number)])
        specs = serve.structured_input_signature[1]
        serve(**{key: numbers if x.dtype == tf.float32 else text for key, x in specs.items()})

    for number in range(10_000):
        call(number)
    before = resident_bytes()
    for number in range(10_000, 110_000):
        call(number)
    grown = resident_bytes() - before
    assert grown < 2**22, f"{grown:,} bytes in 10^5 calls"
