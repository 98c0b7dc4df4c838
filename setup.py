"""Packaging of tf-helen: the optimizers (tf_helen), the models (zoo), the commands (launch)."""

from pathlib import Path

from setuptools import find_namespace_packages, setup

README = Path(__file__).parent / "README.md"

# What `import tf_helen` and `import zoo` need; `launch` and the tests ask for more below.
CORE = [
    "tensorflow>=2.16",
    "keras>=3.10",
    "keras-rs>=0.4",
    "numpy",
    "absl-py",
    "google-crc32c",
    "pyyaml",
    "tqdm",
]

EXTRAS = {
    "launch": ["polars", "pyarrow", "fsspec", "matplotlib"],
    "test": ["pytest", "pytest-xdist", "hypothesis", "scikit-learn", "scipy"],
    "lint": ["ruff"],
    # tensorflow-io adds s3, hdfs, az, oss, http. Its last release, 0.37.1, is built against
    # TensorFlow 2.16 and also works with 2.17; with 2.18 and later it still imports, with a
    # warning about undefined symbols, and then every one of its operations fails.
    "io": ["tensorflow>=2.16,<2.18", "tensorflow-io==0.37.1"],
    # tensorflow-recommenders is built on tf_keras (Keras 2) and runs beside Keras 3 only with
    # TF_USE_LEGACY_KERAS=1.
    "tfrs": ["tensorflow-recommenders>=0.7.7", "tf_keras"],
}

setup(
    name="tf-helen",
    version="0.1.0",
    description="Optimizers for click-through-rate models in TensorFlow and Keras 3",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    # Namespace packages too: folders of data (presets) need no __init__.py.
    packages=find_namespace_packages(
        include=["tf_helen", "tf_helen.*", "zoo", "zoo.*", "launch", "launch.*"]
    ),
    package_data={"": ["*.json", "*.yaml", "*.yml", "*.toml", "*.csv", "*.txt", "py.typed"]},
    install_requires=CORE,
    extras_require=EXTRAS,
    zip_safe=False,
)
