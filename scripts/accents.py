"""Digits as strangers say them: voices of other languages that read English digits in their own spelling.

Needs Debian's espeak-ng, festival and the festvox packages of `RECORDED`. What was spelled for a language is said with
its sounds alone, as a beginner of English does; a word may have several spellings, with strokes between.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_CZECH = "zírou/zero uan/van tú srí/trí/frí fór fajf/fajv siks sevn/sevén ejt najn"
_ITALIAN = "ziro/zero uan tu tri/sri for faiv sics seven eit nain"
_RUSSIAN = "зироу/зеро уан/ван ту сри/фри/три фор файв/файф сикс севен эйт найн"
RECORDED = {
    "czech_dita": _CZECH,
    "czech_krb": _CZECH,
    "czech_machac": _CZECH,
    "czech_ph": _CZECH,
    "lp_diphone": _ITALIAN,
    "pc_diphone": _ITALIAN,
    "suo_fi_lj_diphone": "siirou van/uan tuu srii/trii foor faiv siks seven eit nain",
    "hy_fi_mv_diphone": "siirou uan/van tuu frii/trii foor faiv siks seven eit nain",
    "msu_ru_nsh_clunits": _RUSSIAN,
    "ked_diphone": " ".join(DIGITS),
    "cmu_us_slt_arctic_hts": " ".join(DIGITS),
}
"""Voices of festival that were made from a person's recordings: czech-dita, -krb, -machac, -ph, italp16k, itapc16k,
suopuhe-lj, -mv, ru, kdlpc16k and us-slt-hts."""
COMPUTED = {
    "cs": _CZECH,
    "de": "siero/zero wann tu sri/tri for feif/faiw sicks sewwen äit nein",
    "el": "ζίρο γουάν του θρι φορ φάιβ σιξ σέβεν έιτ νάιν",
    "es": "siro uan tu zri/tri for faif six seven eit nain",
    "fr": "ziro/zéro ouanne tou sri/fri fôr faïve sixe sévène éïte naïne",
    "hi": "ज़ीरो वन टू थ्री फ़ोर फ़ाइव सिक्स सेवन एट नाइन",
    "hu": "zíró uan/van tú szrí/trí fór fájv sziksz szeven éjt nájn",
    "it": _ITALIAN,
    "nl": "ziero wan/uwan toe srie/trie foor faaif siks sevven eet/eejt nain",
    "pl": "ziro/zero łan tu fri/sri/tri for fajf siks sewen ejt najn",
    "pt": "zirou uan tu sri/tri for faiv sics sévan/sevene eite naine",
    "ro": "zirou uan tu sri/tri for faiv sics seven eit nain",
    "ru": _RUSSIAN,
    "sv": "siro oan to sri/tri får fajv sicks seven ejt najn",
    "tr": "ziro van tu tri/sri for fayv siks sevın eyt nayn",
}
"""Languages of espeak-ng, which computes all voices from formants."""
_CODES = {"czech": "iso-8859-2", "msu": "utf-8"}


def accented(random: np.random.Generator, variants: tuple[str, ...], *, tempo: float) -> Callable[[str], bytes]:
    """Return what gives the sound file of a digit in a drawn voice; one in two was made from recordings.

    Parameters
    ----------
    variants : of espeak-ng's voices, one is drawn.
    tempo : how much slower than a voice's own.
    """
    if random.random() < 0.5:
        name = str(random.choice(list(COMPUTED)))
        spelled = _spelled(COMPUTED[name], random)
        voice = f"{name}+{random.choice(variants)}"
        options = ["-v", voice, "-s", str(round(150 / tempo)), "-p", str(random.integers(10, 90)), "-a", "100"]

        def computed(digit: str) -> bytes:
            command = ["espeak-ng", *options, "--stdout", spelled[digit]]
            return subprocess.run(command, check=True, capture_output=True).stdout

        return computed
    name = str(random.choice(list(RECORDED)))
    spelled = _spelled(RECORDED[name], random)
    code = _CODES.get(name.split("_")[0], "iso-8859-1")

    with tempfile.TemporaryDirectory() as folder:  # all at once: festival takes longer to begin than to speak
        said = [
            f'(utt.save.wave (utt.synth (Utterance Text "{word}")) "{folder}/{digit}.wav" \'riff)'
            for digit, word in spelled.items()
        ]
        lines = [f"(voice_{name})", f"(Parameter.set 'Duration_Stretch {tempo:.2f})", *said, ""]
        subprocess.run(["festival", "--pipe"], input="\n".join(lines).encode(code), check=True, capture_output=True)
        recorded = {digit: Path(folder, f"{digit}.wav").read_bytes() for digit in spelled}
    return recorded.__getitem__


def _spelled(words: str, random: np.random.Generator) -> dict[str, str]:
    return {digit: str(random.choice(word.split("/"))) for digit, word in zip(DIGITS, words.split(), strict=True)}
