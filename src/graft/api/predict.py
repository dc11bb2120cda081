"""`predict`: files or texts in, a stream of labels and probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from graft.core.process import prepare_process

if TYPE_CHECKING:
    from graft.deploy.prediction import Prediction

__all__ = ["predict"]


def predict(
    run: str | Path,
    inputs: str | Path | Sequence[str | Path],
    *,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    batch_size: int = 32,
    workers: int = 2,
    skip_unreadable: bool = False,
    text_column: str | None = None,
    preprocessing: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Prediction]:
    """Yield a prediction for each picture, text or recording, in order; memory does not grow with their number.

    Parameters
    ----------
    run : the folder that `fit` wrote.
    inputs : files and folders; folders are searched in depth. For texts also tables, and files with a text a line.
    text_column : column of the tables that holds the texts.
    preprocessing : ``FILE.py:NAME``, where the model was fitted with a preprocessing of your own.
    engine, precision, device, batch_size, workers, skip_unreadable : as in `FitConfig`.
    say : told what is remarkable.

    Raises
    ------
    ModelError
        When `run` holds no finished model.
    DataError
        When there is no example, or one cannot be read (unless `skip_unreadable`).

    Examples
    --------
    >>> for p in predict("run", "new-pictures/"):  # doctest: +SKIP
    ...     print(p.id, p.label, p.probability)
    """
    prepare_process()
    from graft.backbones.cache import FeatureCache, default_cache_folder
    from graft.backbones.extraction import Extractor
    from graft.core.devices import choose_device, choose_precision
    from graft.deploy.inputs import list_examples
    from graft.deploy.prediction import predict_examples
    from graft.tasks.fine_tuned import load_fine_tuned

    paths = [inputs] if isinstance(inputs, (str, Path)) else list(inputs)
    folder = Path(run)
    model_folder = folder if (folder / "graft.json").is_file() else folder / "model"
    fine_tuned = load_fine_tuned(model_folder, preprocessing=preprocessing)
    chosen_device = choose_device(device)
    extractor = Extractor(
        fine_tuned.task.model.source(),
        FeatureCache(default_cache_folder()),
        device=chosen_device,
        precision=choose_precision(chosen_device, wanted=precision),
        engine=engine,
        is_strict_precision=precision != "auto",
        batch_size=batch_size,
        n_workers=workers,
        skip_unreadable=skip_unreadable,
        say=say,
    )
    kind = fine_tuned.task.kind
    yield from predict_examples(
        fine_tuned,
        list_examples(paths, kind=kind, text_column=text_column),
        extractor=extractor,
        skip_unreadable=skip_unreadable,
        say=say,
    )
