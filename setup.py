"""Packaging of tf-helen; everything is in pyproject.toml."""

from setuptools import setup

setup()
