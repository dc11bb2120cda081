"""How much a page may hold: pictures, sounds and texts of examples until their bytes are spent, rows, characters."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from graft.core.types import Preview
from graft.report import wording as w

__all__ = ["MOST_PAGE_BYTES", "ExampleBudget", "Limits"]

MOST_PAGE_BYTES: Final = 3_900_000
"""Of the whole file; 4 MB are promised."""

_MOST_OF_ONE = 100_000
_MOST_TEXT = 300
_SIGNATURES = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF8", "gif"))


@dataclass(frozen=True)
class Limits:
    """The most that is put into a page.

    Parameters
    ----------
    preview_bytes : of pictures and sounds, before base64 makes them a third larger.
    examples : mistakes shown, all pairs together.
    rows : of a table of classes or candidates.
    """

    preview_bytes: int = 2_400_000
    examples: int = 600
    rows: int = 400

    def tighter(self, excess: int) -> Limits:
        """Return limits under which a page that was `excess` bytes too large is smaller."""
        if self.preview_bytes > 0:
            return replace(self, preview_bytes=max(0, self.preview_bytes - excess - 50_000))
        return replace(self, examples=self.examples // 2, rows=self.rows // 2)


class ExampleBudget:
    """Hands out examples as data addresses until their bytes are spent; each is paid for once.

    Parameters
    ----------
    previews : of examples by id.
    max_bytes : of all pictures and sounds together.
    name : how an example is called on the page, by its id; see `graft.report.places.short_names`.
    """

    def __init__(
        self,
        previews: Mapping[str, Preview],
        *,
        max_bytes: int = Limits.preview_bytes,
        name: Callable[[str], str] = str,
    ) -> None:
        self._previews, self._left, self._name = previews, max_bytes, name

    def called(self, example: str) -> str:
        """Return how an example is called on the page."""
        return w.clipped(self._name(example), 120)

    @property
    def has_sounds(self) -> bool:
        """Whether examples are heard, which takes more room and more of a reader's time."""
        return any(preview.sound for preview in self._previews.values())

    def shown(self, example: str, *, is_named: bool = False) -> dict[str, str]:
        """Return id, short id and, each empty where there is none, picture, sound and text of an example.

        Parameters
        ----------
        is_named : the example's name is all that is wanted.
        """
        preview = Preview() if is_named else self._previews.get(example)
        if preview is None:  # ids with lone surrogates are kept escaped
            preview = self._previews.get(w.storable(example), Preview())
        name = self.called(example)
        return {
            "id": name,
            "short_id": name if len(name) <= 60 else "…" + name[-59:],
            "picture": self._picture(preview.picture),
            "sound": self._sound(preview.sound),
            "text": w.clipped(preview.text, _MOST_TEXT) if preview.text else "",
        }

    def _picture(self, content: bytes) -> str:
        """Return ``data:image/...``; empty: no known format, too large, or the budget is spent."""
        kind = next((name for signature, name in _SIGNATURES if content.startswith(signature)), "")
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            kind = "webp"
        return self._address(f"image/{kind}", content) if kind else ""

    def _sound(self, content: bytes) -> str:
        """Return ``data:audio/wav``; empty: no WAV file, too large, or the budget is spent."""
        return self._address("audio/wav", content) if content[:4] == b"RIFF" and content[8:12] == b"WAVE" else ""

    def _address(self, kind: str, content: bytes) -> str:
        if len(content) > min(self._left, _MOST_OF_ONE):
            return ""
        self._left -= len(content)
        return f"data:{kind};base64,{base64.b64encode(content).decode()}"
