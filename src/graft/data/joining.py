"""Two sets of examples put together, and groups from pairs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.data.dataset import LabeledDataset

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["groups_of_pairs", "join_groups", "joined"]


def joined(first: LabeledDataset, second: LabeledDataset) -> LabeledDataset:
    """Return the examples of both, those of `first` first; source and label names are its.

    Raises
    ------
    DataError
        When one holds files and the other the examples themselves.
    """
    from datasets import concatenate_datasets

    parts = [part.rows.select_columns(["id", "content", "label"]) for part in (first, second)]
    if parts[0].features["content"] != parts[1].features["content"]:
        raise DataError(
            f"{first.source} and {second.source} hold their examples in different forms",
            expected="files in both, or the examples themselves in both",
            fix="leave --fix-splits away (Python: fix_splits=False), or mend the splits by a corrections file",
        )
    root = first.root
    if first.root != second.root:
        parts = [_with_absolute_paths(rows, part.root) for rows, part in zip(parts, (first, second), strict=True)]
        root = ""

    def both(a: NDArray[np.int64] | None, b: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
        return None if a is None or b is None else np.concatenate([a, b])

    return LabeledDataset(
        concatenate_datasets(parts),
        first.label_names,
        source=first.source,
        root=root,
        groups=both(first.groups, second.groups),
        suspected_groups=both(first.suspected_groups, second.suspected_groups),
        group_column=first.group_column,
        text_columns=first.text_columns,
    )


def groups_of_pairs(n: int, *pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the group of each of `n` things, (n,), where pairs of numbers, (n_pairs, 2), share one, chains included.

    Examples
    --------
    >>> groups_of_pairs(5, np.array([[0, 2]]), np.array([[2, 4]])).tolist()
    [0, 1, 0, 2, 0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([np.zeros((0, 2), np.int64), *pairs])
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def join_groups(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return groups that join whatever either grouping joins.

    Examples
    --------
    >>> join_groups(np.array([0, 0, 1, 2]), np.array([5, 6, 6, 7])).tolist()
    [0, 0, 0, 1]
    """
    pairs = []
    for groups in (first, second):
        _, firsts, own = np.unique(groups, return_index=True, return_inverse=True)
        pairs.append(np.stack([firsts[own], np.arange(len(groups))], axis=1))
    return groups_of_pairs(len(first), *pairs)


def _with_absolute_paths(rows: Dataset, root: str) -> Dataset:
    def absolute(content: Any) -> Any:
        if isinstance(content, str):
            return os.path.join(root, content)  # noqa: PTH118  as `LabeledDataset.place` does
        if isinstance(content, dict) and content.get("path") and content.get("bytes") is None:
            return {**content, "path": os.path.join(root, content["path"])}  # noqa: PTH118
        return content

    kind = rows.features["content"]
    contents = [absolute(content) for content in rows["content"]]
    return rows.remove_columns("content").add_column("content", contents, feature=kind)
