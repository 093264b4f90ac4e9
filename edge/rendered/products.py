"""What the rendered store sells: invented products, their sizes and their colours."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[int, int, int]
"""Blue, green, red, each 0 to 255."""

CREAM: Colour = (214, 236, 246)
WHITE: Colour = (246, 247, 247)
BLACK: Colour = (34, 30, 30)
SILVER: Colour = (198, 196, 192)


@dataclass(frozen=True, slots=True)
class Product:
    """One thing on sale. kind chooses how it is drawn; width, height, depth are centimetres."""

    name: str
    sku: str
    kind: str
    word: str
    base: Colour
    accent: Colour
    ink: Colour
    width: float
    height: float
    depth: float

    @property
    def size(self) -> str:
        """What the name ends with: how much is in it, and the unit."""
        return " ".join(self.name.split()[-2:])


def article_number(number: int) -> str:
    """Return an EAN-13 of the range kept for a shop's own use (20…29), so it is nobody's."""
    digits = f"20{number:010d}"
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return digits + str(-total % 10)


def _kind(
    kind: str, depth: float, *rows: tuple[str, str, Colour, Colour, Colour, float, float]
) -> list[Product]:
    return [
        Product(name, "", kind, word, base, accent, ink, width, height, depth)
        for name, word, base, accent, ink, width, height in rows
    ]


_RED, _GREEN, _BLUE, _NAVY = (38, 34, 196), (70, 140, 44), (190, 106, 30), (104, 44, 24)
_ORANGE, _YELLOW, _PINK, _VIOLET = (24, 118, 238), (52, 206, 248), (172, 128, 238), (150, 52, 104)
_BROWN, _LIME, _SKY = (40, 62, 104), (70, 206, 158), (226, 182, 108)

_DRAWN = [
    *_kind(
        "can",
        8.6,
        ("Hallabong soda 355 ml", "HALLA", _ORANGE, _YELLOW, WHITE, 8.4, 15.0),
        ("Cold brew black 275 ml", "BREW", BLACK, (64, 150, 204), CREAM, 8.2, 14.6),
        ("Cherry cola 355 ml", "KOLA", _RED, WHITE, WHITE, 8.4, 15.0),
        ("Barley lager 500 ml", "LAGER", (86, 190, 214), _NAVY, _NAVY, 8.4, 17.6),
        ("Lychee sparkling 355 ml", "LYCHI", (226, 208, 244), _PINK, _VIOLET, 8.4, 15.0),
    ),
    *_kind(
        "bottle",
        9.2,
        ("Spring water 1 l", "ONSAEM", (236, 208, 158), _BLUE, WHITE, 8.8, 25.6),
        ("Green tea 600 ml", "NOKCHA", (76, 150, 116), _LIME, WHITE, 8.8, 23.4),
        ("Sports drink 620 ml", "ION GO", (232, 222, 206), _NAVY, WHITE, 9.0, 22.6),
        ("Plum tea 500 ml", "MAESIL", (58, 128, 176), _VIOLET, CREAM, 8.8, 23.0),
        ("Soy sauce 930 ml", "GANJANG", (22, 24, 36), _RED, CREAM, 9.2, 24.8),
    ),
    *_kind(
        "carton",
        9.6,
        ("Fresh milk 900 ml", "MILK", WHITE, _BLUE, _BLUE, 9.4, 19.6),
        ("Banana milk 900 ml", "BANANA", (150, 230, 250), _GREEN, _BROWN, 9.4, 19.6),
        ("Soy milk black bean 950 ml", "SOYA", (150, 172, 190), _BROWN, BLACK, 9.4, 19.6),
    ),
    *_kind(
        "box",
        8.0,
        ("Corn flakes 500 g", "CRISPI", _YELLOW, _RED, _RED, 14.4, 22.6),
        ("Choco pies 12 pieces", "CHOCO", _BROWN, _RED, CREAM, 14.8, 15.6),
        ("Curry mild 4 portions", "CURRY", (40, 170, 236), _GREEN, BLACK, 13.2, 18.4),
        ("Laundry sheets 40", "PURE", _SKY, WHITE, _NAVY, 14.2, 19.8),
        ("Butter biscuits 300 g", "BUTTER", _NAVY, _YELLOW, CREAM, 13.8, 17.2),
        ("Ginseng tea 50 bags", "INSAM", (52, 46, 140), (96, 184, 214), CREAM, 13.6, 16.4),
    ),
    *_kind(
        "bag",
        10.6,
        ("Potato crisps salt 160 g", "CRISPS", _GREEN, _YELLOW, WHITE, 15.6, 21.6),
        ("Shrimp crackers 120 g", "SAEU", _RED, _ORANGE, WHITE, 15.2, 21.0),
        ("Onion rings 110 g", "RINGS", _VIOLET, _YELLOW, WHITE, 15.4, 21.4),
        ("Honey twists 130 g", "TWIST", (48, 184, 244), WHITE, _BROWN, 15.2, 20.6),
    ),
    *_kind(
        "cup",
        11.0,
        ("Kimchi ramen cup 86 g", "RAMEN", _RED, WHITE, WHITE, 10.8, 12.4),
        ("Seafood noodle cup 92 g", "NOODLE", _BLUE, _YELLOW, WHITE, 10.8, 12.4),
    ),
    *_kind(
        "jar",
        9.4,
        ("Instant coffee 200 g", "COFFEE", (30, 44, 70), _RED, CREAM, 9.2, 16.0),
        ("Citron honey 580 g", "YUJA", (34, 150, 226), _GREEN, WHITE, 9.4, 14.8),
        ("Strawberry jam 370 g", "JAM", (42, 32, 160), _PINK, WHITE, 9.0, 13.6),
    ),
]


def catalogue() -> list[Product]:
    """Return every product with its article number."""
    return [
        Product(
            one.name, article_number(4100 + 7 * number), one.kind, one.word, one.base,
            one.accent, one.ink, one.width, one.height, one.depth,
        )
        for number, one in enumerate(_DRAWN)
    ]  # fmt: skip
