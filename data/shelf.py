"""Copies of datasets for machines that cannot read the original."""

from __future__ import annotations

from data.dataset import Dataset
from protocol.errors import DataError


def shelve(uri: str, root: str, shelf: str) -> str:
    """Return an address under which any machine reads the version `root` of the dataset at `uri`.

    What is on S3 stays there; anything else is copied to ``SHELF/ROOT`` unless it is there already. A copy that was cut off
    is completed; any number of processes may copy at once.

    Parameters
    ----------
    uri, root : str
        The dataset, which may be a view, and its content root.
    shelf : str
        Address ``s3://BUCKET/PATH``.

    Raises
    ------
    DataError
        The dataset cannot be read, or has another root.
    ClusterError
        S3 does not answer or refuses.
    """
    if uri.startswith("s3://"):
        return uri
    place = f"{shelf}/{root}"
    copy = Dataset.create(place)
    if copy.root == root:
        return place
    source = Dataset.open(uri, root)
    for type_ in sorted(source.read_keys()["type"].unique().to_pylist()):
        copy = copy.append(source.read(type=type_), source=f"copy of {root}")
    if copy.root != root:
        raise DataError(f"{place} has root {copy.root} and should have {root}; remove it and try again")
    return place
