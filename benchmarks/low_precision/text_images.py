"""Pictures of printed text, drawn here, as the three models of rapidocr read them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_WORDS = (
    *("paper", "letter", "river", "garden", "window", "number", "animal", "summer", "winter", "morning", "evening"),
    *("market", "bottle", "silver", "answer", "castle", "orange", "yellow", "purple", "circle", "square", "mountain"),
    *("valley", "bridge", "station", "harbor", "engine", "planet", "music", "doctor", "teacher", "student", "library"),
    *("history", "science", "nature", "energy", "pressure", "balance", "network", "weight"),
)
_LINES, _PAGES, _ROWS = 12, 1, 8
HEIGHT, LONG, SHORT, PAGE = 48, 320, 192, (480, 640)


class Pictures(NamedTuple):
    """`x` has values from -1 to 1; `labels` are what is written, whether it is upside down, or nothing."""

    x: np.ndarray
    labels: list[str] | np.ndarray | None


def pictures(name: str, seed: int) -> Pictures:
    """Pictures for the file of this name; others for each seed."""
    rng = np.random.default_rng(seed)
    if name == "detection":
        return Pictures(_batch([_page(rng) for _ in range(_PAGES)]), None)
    if name == "recognition":
        texts = [_text(rng, 3) for _ in range(_LINES)]
        return Pictures(_batch([_line(text, rng, LONG) for text in texts]), texts)
    upright = [_line(_text(rng, 2), rng, SHORT) for _ in range(_LINES)]
    is_turned = np.arange(_LINES) % 2
    turned = [one[::-1, ::-1] if turn else one for one, turn in zip(upright, is_turned, strict=True)]
    return Pictures(_batch(turned), is_turned)


def _text(rng: np.random.Generator, words: int) -> str:
    return " ".join(rng.choice(_WORDS, words, replace=False))


def _line(text: str, rng: np.random.Generator, width: int) -> np.ndarray:
    """One line of dark text on a light ground, as large as fits, with noise."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", (width, HEIGHT), int(rng.integers(200, 256)))
    draw = ImageDraw.Draw(image)
    size = next(size for size in range(32, 6, -1) if draw.textlength(text, ImageFont.load_default(size)) < width - 12)
    draw.text((6, HEIGHT / 2), text, int(rng.integers(0, 80)), ImageFont.load_default(size), anchor="lm")
    return np.asarray(image) + rng.normal(0, 4, (HEIGHT, width))


def _page(rng: np.random.Generator) -> np.ndarray:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", PAGE[::-1], int(rng.integers(200, 256)))
    draw = ImageDraw.Draw(image)
    for row in range(_ROWS):
        place = (int(rng.integers(10, 120)), 20 + row * (PAGE[0] - 30) // _ROWS)
        draw.text(place, _text(rng, 4), int(rng.integers(0, 80)), ImageFont.load_default(int(rng.integers(16, 30))))
    return np.asarray(image) + rng.normal(0, 4, PAGE)


def _batch(images: list[np.ndarray]) -> np.ndarray:
    gray = np.clip(np.stack(images), 0, 255) / 127.5 - 1
    return np.repeat(gray[:, None], 3, axis=1).astype(np.float32)
