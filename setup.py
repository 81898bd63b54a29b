"""The packages of the wheel; all else is in pyproject.toml. The configurations at the top level become package data."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["genlib*", "pipelines*"]), "genlib.configs"],
    package_dir={"genlib.configs": "configs"},
)
