"""Units after a number in English, where the converter's own table has none or reads a letter."""

from __future__ import annotations

import re


def _words(line: str) -> frozenset[str]:
    return frozenset(line.split())


AMOUNT = r"\d{1,15}(?:,\d{3}){0,6}(?:\.\d{1,15})?"

_UNITS: dict[str, tuple[str, str]] = {
    "m": ("meter", "meters"), "L": ("liter", "liters"), "l": ("liter", "liters"),
    "h": ("hour", "hours"), "W": ("watt", "watts"), "V": ("volt", "volts"),
    "g": ("gram", "grams"), "s": ("second", "seconds"), "m²": ("square meter", "square meters"),
    "km²": ("square kilometer", "square kilometers"), "cm²": ("square centimeter", "square centimeters"),
    "m³": ("cubic meter", "cubic meters"), "cm³": ("cubic centimeter", "cubic centimeters"),
    "m/s": ("meter per second", "meters per second"),
    "m/s²": ("meter per second squared", "meters per second squared"),
    "km/s": ("kilometer per second", "kilometers per second"),
    "mph": ("mile per hour", "miles per hour"), "km/h": ("kilometer per hour", "kilometers per hour"),
    "kph": ("kilometer per hour", "kilometers per hour"), "mpg": ("mile per gallon", "miles per gallon"),
    "dB": ("decibel", "decibels"), "tbsp": ("tablespoon", "tablespoons"), "tsp": ("teaspoon", "teaspoons"),
    "ha": ("hectare", "hectares"), "kPa": ("kilopascal", "kilopascals"), "Pa": ("pascal", "pascals"),
    "gal": ("gallon", "gallons"), "µm": ("micrometer", "micrometers"), "μm": ("micrometer", "micrometers"),
    "kcal": ("kilocalorie", "kilocalories"), "kJ": ("kilojoule", "kilojoules"), "J": ("joule", "joules"),
    "PB": ("petabyte", "petabytes"), "Ω": ("ohm", "ohms"), "THz": ("terahertz", "terahertz"),
    "in.": ("inch", "inches"), "′": ("foot", "feet"), "″": ("inch", "inches"),
    "USD": ("U S dollar", "U S dollars"), "TWD": ("N T dollar", "N T dollars"), "NTD": ("N T dollar", "N T dollars"),
    "EUR": ("euro", "euros"), "GBP": ("pound", "pounds"), "JPY": ("yen", "yen"), "CHF": ("Swiss franc", "Swiss francs"),
    "AUD": ("Australian dollar", "Australian dollars"), "CAD": ("Canadian dollar", "Canadian dollars"),
    "€": ("euro", "euros"),
}  # fmt: skip
"""Unit as written after a number → one and many of it."""
_JOINED = re.compile(
    rf"({AMOUNT})(L|l|W|V|g|h|m²|km²|cm²|m³|cm³|m/s|m/s²|km/s|km/h|kph|mph|mpg|dB|kPa|kcal|kJ|µm|μm)"
)
_GREAT = {"M": "million", "B": "billion", "K": "thousand"}
_PEOPLE = _words(
    "people users views subscribers followers downloads players fans years books copies streams "
    "visitors customers members items units tokens parameters homes students"
)
_WINDS = {"N": "north", "S": "south", "E": "east", "W": "west"}
_WHILE = _words("hour second minute day week month year person night gallon liter mile")
_FED = _words("battery batteries bulb charger adapter motor outlet supply heater amplifier")
_TURNED = frozenset(("angle", "turn", "view", "bend", "rotation", "slope", "video", "camera"))
_CLOCK_BEFORE = re.compile(r"\d+h|\d+m")


def measure(word: str, before: str, after: str) -> str | None:
    """Return a unit in words after its number, apart or not; `5 x 3` is five by three."""
    if re.fullmatch(rf"[-−~≈]?{AMOUNT}(?:[-–]{AMOUNT})?", before):
        if word == "sq" and after in ("ft", "mi", "m", "km", "in", "yd"):
            return "square"
        if unit := _UNITS.get(word):
            return unit[0] if before == "1" else unit[1]
    if before == "sq" and word in ("ft", "mi"):
        return "feet" if word == "ft" else "miles"
    if word == "x" and before[-1:].isdigit() and after[:1].isdigit():
        return "by"
    if (rate := re.fullmatch("([a-z]+)/([a-z]+)", word)) and rate[2] in _WHILE:
        return f"{_UNITS.get(rate[1], ('', rate[1]))[1]} per {rate[2]}"
    return _angle(word, after) or _joined(word, before, after)


def _angle(word: str, after: str) -> str | None:
    angle = re.fullmatch(rf"({AMOUNT})°([NSEW]?)", word)
    if angle is None or not (angle[2] or after in _TURNED):
        return None
    return f"{angle[1]} " + (f"degrees {_WINDS[angle[2]]}" if angle[2] else "degree")


def _joined(word: str, before: str, after: str) -> str | None:
    if times := re.fullmatch(rf"({AMOUNT}(?:[-–]{AMOUNT})?)[x×]", word):
        return re.sub("[-–]", " to ", times[1]) + " times"
    great = re.fullmatch(rf"({AMOUNT})([MBK])", word)
    if great and after.lower() in _PEOPLE:
        return f"{great[1]} {_GREAT[great[2]]}"
    clock = re.fullmatch(r"(\d{1,2})([ms])", word)
    if clock and _CLOCK_BEFORE.fullmatch(before):
        unit = "minute" if clock[2] == "m" else "second"
        return f"{clock[1]} {unit}" + ("" if clock[1] == "1" else "s")
    joined = _JOINED.fullmatch(word)
    if joined is None:
        return None
    one, many = _UNITS[joined[2]]
    return f"{joined[1]} {one if joined[1] == '1' or after in _FED else many}"
