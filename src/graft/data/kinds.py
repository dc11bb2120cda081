"""The kinds of examples: what they are called, and where files and tables hold them. Data only."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KINDS", "PICTURE", "RECORDING", "TEXT", "ExampleKind"]


@dataclass(frozen=True)
class ExampleKind:
    """One kind of example.

    Parameters
    ----------
    modality : ``"image"``, ``"text"`` or ``"audio"``.
    noun : what one is called in messages; the plural takes an s.
    suffixes : endings of its files, in small letters.
    signatures : first bytes of its files, for those without an ending.
    path_names : usual names of the column that names its files.
    inline_names : usual names of the column that holds it itself; empty: it always is a file.
    pair_names : usual names of two columns that belong together.
    convertible : endings of files that hold such examples in a form that is not read.
    conversion : what to do with these.
    empty_word : what one is called whose hash for near copies is empty, so that there is nothing in it: counted and
        told. Empty: its hash says nothing.
    """

    modality: str
    noun: str
    suffixes: frozenset[str]
    signatures: tuple[bytes, ...] = ()
    path_names: tuple[str, ...] = ()
    inline_names: tuple[str, ...] = ()
    pair_names: tuple[tuple[str, str], ...] = ()
    convertible: frozenset[str] = frozenset()
    conversion: str = ""
    empty_word: str = ""


_FILE_NAMES = ("path", "file_name", "filename", "file", "filepath", "file_path")

# fmt: off
PICTURE = ExampleKind(
    "image",
    "picture",
    suffixes=frozenset({
        ".apng", ".avif", ".bmp", ".dib", ".gif", ".ico", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm",
        ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp",
    }),
    # JPEG, PNG, GIF, BMP, TIFF and the RIFF container of WebP.
    signatures=(b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF"),
    path_names=(
        *_FILE_NAMES, "image_path", "image_file", "image", "img_path", "img", "picture", "photo", "image_name",
        "content",
    ),
    convertible=frozenset({".heic", ".heif", ".svg", ".psd", ".dng", ".cr2", ".nef", ".arw", ".raw", ".pdf", ".dcm"}),
    conversion="save them as JPEG or PNG",
)
TEXT = ExampleKind(
    "text",
    "text",
    suffixes=frozenset({".txt", ".md", ".text"}),
    path_names=_FILE_NAMES,
    inline_names=(
        "text", "sentence", "utterance", "question", "query", "content", "review", "message", "comment", "tweet",
        "document", "body", "description", "headline", "title", "prompt", "input", "sms", "abstract", "article",
    ),
    pair_names=(
        ("premise", "hypothesis"), ("sentence1", "sentence2"), ("question1", "question2"), ("text1", "text2"),
        ("sentence_a", "sentence_b"), ("text_a", "text_b"),
    ),
    convertible=frozenset({".pdf", ".doc", ".docx", ".html", ".htm", ".rtf", ".odt", ".xml", ".epub"}),
    conversion="save them as .txt in UTF-8",
)
RECORDING = ExampleKind(
    "audio",
    "recording",
    suffixes=frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64"}),
    signatures=(b"RIFF", b"fLaC", b"OggS", b"ID3", b"FORM"),
    path_names=(*_FILE_NAMES, "audio_path", "audio_file", "audio", "wav", "clip", "recording", "sound", "content"),
    convertible=frozenset({".m4a", ".aac", ".wma", ".mp4", ".webm", ".amr", ".mov", ".mkv", ".3gp", ".alac"}),
    conversion="ffmpeg -i FILE FILE.wav makes recordings of them",
    empty_word="silent",
)
# fmt: on
KINDS = (PICTURE, TEXT, RECORDING)
