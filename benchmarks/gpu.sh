#!/bin/bash
# Measures a GPU with one command: benchmarks/gpu.sh OUT [PYTHON]
#
# Writes to OUT: machine.txt (device, driver, versions), step_cost.json and step_cost.txt (every
# optimizer, 10^4 to 10^7 rows), models.txt (every model), tests.txt (the tests of the optimizers
# and layers, on the GPU). Ends with an error if TensorFlow sees no GPU or a test fails.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: $0 OUT [PYTHON]" >&2; exit 2; }
out=$(mkdir -p "$1" && cd "$1" && pwd)
python=${2:-python}
cd "$(dirname "$0")/.."

"$python" - <<'PY' | tee "$out/machine.txt"
import platform, sys
import keras, numpy, tensorflow as tf

devices = tf.config.list_physical_devices("GPU")
if not devices:
    sys.exit("TensorFlow sees no GPU; install tensorflow[and-cuda] and check nvidia-smi")
for device in devices:
    print("device", tf.config.experimental.get_device_details(device))
build = tf.sysconfig.get_build_info()
print("CUDA", build.get("cuda_version"), "cuDNN", build.get("cudnn_version"))
print("TensorFlow", tf.__version__, "Keras", keras.__version__, "NumPy", numpy.__version__)
print("Python", platform.python_version(), platform.platform())
PY
if command -v nvidia-smi > /dev/null; then
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv | tee -a "$out/machine.txt"
fi
git rev-parse HEAD >> "$out/machine.txt" 2> /dev/null || true

"$python" benchmarks/step_cost.py --optimizers=all --nomemory --out="$out" | tee "$out/step_cost.txt"
"$python" benchmarks/models.py | tee "$out/models.txt"
"$python" -m pytest -q tests/tf_helen/optimizers tests/tf_helen/layers 2>&1 | tee "$out/tests.txt"
