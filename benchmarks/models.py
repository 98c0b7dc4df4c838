"""Parameters, FLOPs per row and rows per second of every model, beside FuxiCTR and DeepCTR.

    python benchmarks/models.py [--models=deepfm,dcn]
        [--fuxictr_python=ENV/bin/python --fuxictr=CLONE] [--deepctr_python=ENV/bin/python]

The shape is Criteo's: 26 fields with a million ids in all, 13 numbers, dimension 16, MLP
400-400-400, batch 4096, Adam; for DIN also a history of up to 20 ids of the first field. For the
comparison with FuxiCTR, which embeds numbers, the zoo's models embed them too. For the comparison
with DeepCTR, which does not embed numbers, they run with `numeric="direct"` (EDCN without numbers,
as in DeepCTR). Every model runs in a separate process, the libraries in turn, `--repeats` times;
the results are medians. The other libraries need separate environments (`benchmarks/peers`);
without them only the zoo is measured. Results go to `docs/results/models.json` and are printed as
a table.
"""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import app, flags
from peers.deepctr_models import MODELS as IN_DEEPCTR
from peers.deepctr_models import WITHOUT_NUMBERS
from peers.fuxictr_models import MODELS as IN_FUXICTR

_ROOT = pathlib.Path(__file__).resolve().parents[1]

_MODELS = flags.DEFINE_list("models", None, "Models; by default all.")
_FUXICTR = flags.DEFINE_string("fuxictr", None, "Clone of FuxiCTR.")
_FUXICTR_PYTHON = flags.DEFINE_string("fuxictr_python", None, "Its Python, with torch.")
_DEEPCTR_PYTHON = flags.DEFINE_string("deepctr_python", None, "Python with deepctr.")
_REPEATS = flags.DEFINE_integer("repeats", 1, "How often every library runs.", lower_bound=1)
_ONE = flags.DEFINE_string("one", None, "Measure one model of the zoo and print JSON.")
_NUMERIC = flags.DEFINE_enum(
    "numeric", "embedded", ("embedded", "direct", "none"), "Numbers of that model."
)

# Settings with which a model of the zoo equals those of the other libraries (see `peers`).
SETTINGS = {
    "afn": {"neurons": 100},
    "autoint": {"attention_layers": 2, "attention_dim": 16, "heads": 2},
    "din": {"attention_hidden_units": (64,), "activation": "relu"},
    "dlrm": {"bottom_units": (64, 64)},
    "edcn": {"batch_norm": False},
    "finalnet": {"blocks": 1},
    "gdcn": {"structure": "parallel"},
    "masknet": {"structure": "serial"},
}


def measure(name: str, numeric: str) -> dict:
    """Measures a model of the zoo in this process."""
    import keras
    import numpy as np
    import tensorflow as tf
    from flops import flops_per_row
    from peers.timing import rows_per_second
    from shape import BATCH, DIM, FIELDS, HIDDEN, HISTORY, NUMBERS, SIZE, batches, histories

    import tf_helen
    import zoo

    fields = [zoo.Categorical(f"c{place}", SIZE) for place in range(FIELDS)]
    data = batches()
    if name == "din":
        fields.append(zoo.Categorical("history", SIZE, length=HISTORY, shares="c0"))
        for batch, history in zip(data, histories(), strict=True):
            # The zoo pads with -1.
            batch["ids"] = np.hstack([batch["ids"], np.where(history > 0, history, -1)])
    numbers = [zoo.Numeric(f"n{place}", transform="none") for place in range(NUMBERS)]
    schema = zoo.Schema("shape", fields, () if numeric == "none" else numbers)
    cls = zoo.get(name)
    settings = {"hidden_units": HIDDEN} if "hidden_units" in cls.arguments() else {}
    settings |= SETTINGS.get(name, {})
    if numeric == "direct":
        settings["numeric"] = "direct"
    model = cls(schema, embedding_dim=DIM, **settings)
    model.compile(tf_helen.Adam(), keras.losses.BinaryCrossentropy(from_logits=True))
    data = [
        (
            {key: tf.constant(batch[key]) for key in model.feature_shapes()},
            tf.constant(batch["label"]),
        )
        for batch in data
    ]
    step = tf.function(lambda x, y: model.train_step((x, y)))
    serve = tf.function(lambda x: model(x, training=False))
    return {
        "parameters": int(sum(np.prod(weight.shape) for weight in model.trainable_weights)),
        "flops": flops_per_row(cls, schema, {**settings, "embedding_dim": DIM}),
        "trained": rows_per_second(lambda number: step(*data[number]), BATCH),
        "inferred": rows_per_second(lambda number: serve(data[number][0]), BATCH),
    }


def asked(*command: str) -> dict | None:
    """Returns the last line that a process prints; `None` and a message if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        print(f"{' '.join(command[-2:])} failed: {done.stderr.strip().splitlines()[-1:]}")
        return None


def main(_) -> None:
    if _ONE.value:
        print(json.dumps(measure(_ONE.value, _NUMERIC.value)))
        return
    import zoo

    peers = _ROOT / "benchmarks" / "peers"
    path = _ROOT / "docs" / "results" / "models.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    for name in _MODELS.value or [entry.name for entry in zoo.list_models()]:
        command = [sys.executable, __file__, f"--one={name}"]
        commands = {"zoo": command}
        if _FUXICTR_PYTHON.value and name in IN_FUXICTR:
            script = str(peers / "fuxictr_models.py")
            commands["fuxictr"] = [_FUXICTR_PYTHON.value, script, _FUXICTR.value, name]
        if _DEEPCTR_PYTHON.value and name in IN_DEEPCTR:
            numeric = "none" if name in WITHOUT_NUMBERS else "direct"
            commands["zoo, for deepctr"] = [*command, f"--numeric={numeric}"]
            script = str(peers / "deepctr_models.py")
            commands["deepctr"] = [_DEEPCTR_PYTHON.value, script, name]
        rounds = [
            {library: asked(*command) for library, command in commands.items()}
            for _ in range(_REPEATS.value)
        ]
        results = {library: [each[library] for each in rounds] for library in commands}
        found[name] = {
            library: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            for library, runs in results.items()
            if all(runs)
        }
        path.write_text(json.dumps(found, indent=1) + "\n")
        print(line(name, found[name]), flush=True)
    print(HEAD + "\n".join(line(name, runs) for name, runs in found.items()))


HEAD = (
    "| model | parameters | kFLOP/row | trained: rows/s | FuxiCTR | DeepCTR "
    "| inferred: rows/s | FuxiCTR | DeepCTR |\n|---|---|---|---|---|---|---|---|---|\n"
)


def line(name: str, runs: dict) -> str:
    """Returns a row of the table, with the speed of the zoo / that of each other library."""
    zoo_runs = runs["zoo"]
    cells = [name, f"{zoo_runs['parameters']:,.0f}", f"{zoo_runs['flops'] / 1e3:,.0f}"]
    for what in ("trained", "inferred"):
        cells.append(f"{zoo_runs[what]:,.0f}")
        for peer in ("fuxictr", "deepctr"):
            alike = runs.get(f"zoo, for {peer}", zoo_runs)
            cells.append(f"{alike[what] / runs[peer][what]:.2f} x" if peer in runs else "")
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    app.run(main)
