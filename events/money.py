"""Money as whole minor units beside an ISO 4217 code: no floats, no ``Decimal`` whose context could differ.

The table is list one of ISO 4217 as of January 2026, with numeric codes (DE 49 of ISO 8583). What has no
minor unit (metals, SDR, testing) is known and refused: it cannot be paid with. Currencies that are gone can
be read in old records, and not be paid with either.

Every division here says who gets what is left over, and gives the same answer for a debit as for a credit.
"""

from typing import Final

from events.errors import ValidationError

MILLION: Final = 1_000_000
LONGEST_TEXT: Final = 24
"""A signed 64-bit amount with three separators: nothing longer is an amount."""

_BY_EXPONENT: Final[dict[int, str]] = {
    0: """
        BIF108 CLP152 DJF262 GNF324 ISK352 JPY392 KMF174 KRW410 PYG600 RWF646 UGX800 UYI940 VND704 VUV548
        XAF950 XOF952 XPF953
    """,
    2: """
        AED784 AFN971 ALL008 AMD051 AOA973 ARS032 AUD036 AWG533 AZN944 BAM977 BBD052 BDT050 BMD060 BND096
        BOB068 BOV984 BRL986 BSD044 BTN064 BWP072 BYN933 BZD084 CAD124 CDF976 CHE947 CHF756 CHW948 CNY156
        COP170 COU970 CRC188 CUP192 CVE132 CZK203 DKK208 DOP214 DZD012 EGP818 ERN232 ETB230 EUR978 FJD242
        FKP238 GBP826 GEL981 GHS936 GIP292 GMD270 GTQ320 GYD328 HKD344 HNL340 HTG332 HUF348 IDR360 ILS376
        INR356 IRR364 JMD388 KES404 KGS417 KHR116 KPW408 KYD136 KZT398 LAK418 LBP422 LKR144 LRD430 LSL426
        MAD504 MDL498 MGA969 MKD807 MMK104 MNT496 MOP446 MRU929 MUR480 MVR462 MWK454 MXN484 MXV979 MYR458
        MZN943 NAD516 NGN566 NIO558 NOK578 NPR524 NZD554 PAB590 PEN604 PGK598 PHP608 PKR586 PLN985 QAR634
        RON946 RSD941 RUB643 SAR682 SBD090 SCR690 SDG938 SEK752 SGD702 SHP654 SLE925 SOS706 SRD968 SSP728
        STN930 SVC222 SYP760 SZL748 THB764 TJS972 TMT934 TOP776 TRY949 TTD780 TWD901 TZS834 UAH980 USD840
        USN997 UYU858 UZS860 VED926 VES928 WST882 XAD396 XCD951 XCG532 YER886 ZAR710 ZMW967 ZWG924
    """,
    3: "BHD048 IQD368 JOD400 KWD414 LYD434 OMR512 TND788",
    4: "CLF990 UYW927",
}
_GONE: Final[dict[str, int]] = {"ANG": 2, "BGN": 2, "CUC": 2, "HRK": 2, "SLL": 2, "ZWL": 2}

WITHOUT_MINOR_UNIT: Final = frozenset("XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX".split())
EXPONENTS: Final[dict[str, int]] = {
    entry[:3]: exponent for exponent, entries in _BY_EXPONENT.items() for entry in entries.split()
}
NUMERIC: Final[dict[str, str]] = {
    entry[:3]: entry[3:] for entries in _BY_EXPONENT.values() for entry in entries.split()
}
BY_NUMERIC: Final[dict[str, str]] = {number: currency for currency, number in NUMERIC.items()}
_DIGITS: Final = "0123456789"


def payable(currency: str) -> bool:
    """Whether a payment can be made in this currency: it is in force and has a minor unit."""
    return currency in EXPONENTS


def exponent(currency: str) -> int:
    """How many decimals the currency has (USD 2, JPY 0, KWD 3); ValidationError where it has none."""
    found = EXPONENTS.get(currency)
    if found is None:
        found = _GONE.get(currency)
    if found is None:
        why = "has no minor unit" if currency in WITHOUT_MINOR_UNIT else "is not a currency of ISO 4217"
        raise ValidationError("currency", f"{currency[:8]!r} {why}")
    return found


def format_minor(amount: int, currency: str) -> str:
    """``123456`` in USD is ``1234.56``, in JPY ``123456``, in KWD ``123.456``. No grouping, no symbol."""
    decimals = exponent(currency)
    if decimals == 0:
        return str(amount)
    digits = str(abs(amount)).rjust(decimals + 1, "0")
    return f"{'-' if amount < 0 else ''}{digits[:-decimals]}.{digits[-decimals:]}"


def parse_major(text: str, currency: str) -> int:
    """The minor units of ``1234.56``, exactly; more decimals than the currency has are refused, not rounded.

    Accepted are an optional minus, digits, and a point with digits behind it. A comma is refused: it
    stands for thousands in one country and for decimals in the next.
    """
    decimals = exponent(currency)
    whole, point, fraction = text.removeprefix("-").partition(".")
    if len(text) > LONGEST_TEXT or not whole or (whole + fraction).strip(_DIGITS) or (point and not fraction):
        raise ValidationError("amount", f"{text[:LONGEST_TEXT]!r} is not an amount like 1234.56")
    if len(fraction) > decimals:
        raise ValidationError("amount", f"{text!r} has more than the {decimals} decimals of {currency}")
    amount = int(whole + fraction.ljust(decimals, "0"))
    return -amount if text.startswith("-") else amount


def share(amount: int, rate_ppm: int) -> int:
    """``rate_ppm`` millionths of an amount, half to even: 2.9 % are 29,000.

    Half to even, because rounding every half up over a million fees is a hundred thousand half units to
    one side's good. The share of a refund is exactly minus the share of its capture.
    """
    quotient, rest = divmod(amount * rate_ppm, MILLION)
    if rest * 2 > MILLION or (rest * 2 == MILLION and quotient & 1):
        return quotient + 1
    return quotient


def split(amount: int, weights: list[int], remainder_to: int | None = None) -> list[int]:
    """Divide an amount by weights so that the parts add up to it.

    Each part is first rounded towards zero. What is left over goes to the part at ``remainder_to``; without
    one, unit by unit to the largest remainders, and among equal ones to the earlier part. The parts of minus
    an amount are minus the parts of it.
    """
    total = sum(weights)
    if total <= 0 or min(weights) < 0:
        raise ValidationError("weights", "are negative, or add up to nothing")
    if remainder_to is not None and not 0 <= remainder_to < len(weights):
        raise ValidationError("remainder_to", f"{remainder_to} names none of {len(weights)} parts")
    parts: list[int] = []
    remainders: list[int] = []
    for weight in weights:
        part, remainder = divmod(abs(amount) * weight, total)
        parts.append(part)
        remainders.append(remainder)
    left = abs(amount) - sum(parts)
    if remainder_to is not None:
        parts[remainder_to] += left
    else:
        # sorted() is stable: equal remainders keep the order of the parts.
        for index in sorted(range(len(parts)), key=lambda index: -remainders[index])[:left]:
            parts[index] += 1
    return parts if amount >= 0 else [-part for part in parts]
