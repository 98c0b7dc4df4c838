"""Stub: Bazel's own protocol buffer rules under the names its built-in BUILD files load."""

proto_lang_toolchain = native.proto_lang_toolchain
proto_library = native.proto_library
