"""Converts streams of raw rows to ids, numbers and TFRecord files, in two passes."""
