"""Files on every file system: local, TensorFlow's, and the stores of fsspec such as `s3://`."""
