"""Writes the request of score.c for rows of a CSV file.

`python request.py served rows.csv > request.txt` reads only the model card of the export, so it
needs no TensorFlow.
"""

import csv
import json
import sys
from pathlib import Path


def request(saved_model: str, rows: str) -> list[str]:
    """Returns the lines of a request: the tensor of the output, then the values of each input.

    Args:
        saved_model: string, folder that `launch.export` or `launch.train` wrote.
        rows: string, CSV file with a header. An empty value is missing.
    """
    card = json.loads(Path(saved_model, "model_card.json").read_text(encoding="utf-8"))
    signature = card["signatures"]["serving_default"]
    columns = {key: column for column, key in card["inputs"].items()}
    with open(rows, encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    lines = [signature["outputs"]["probability"]["tensor"]]
    for key, tensor in signature["inputs"].items():
        lines.append(f"{tensor['tensor']} {tensor['dtype']} {len(table)}")
        for row in table:
            value = row[columns.get(key, key)]
            is_text = tensor["dtype"] == "string"
            # A text with a line end is the same value with a space.
            lines.append(" ".join(value.splitlines()) if is_text else value.strip() or "nan")
    return lines


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python request.py SAVED_MODEL ROWS.csv")
    print("\n".join(request(*sys.argv[1:])))
