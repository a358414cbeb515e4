"""What the name of a column suggests."""

import re
import unicodedata

_WORDS = re.compile(r"[A-ZÄÖÜ]?[a-zäöüß]+|[A-ZÄÖÜ]+(?![a-zäöüß])|\d+")
_KEY = {"id", "ids", "key", "uuid", "guid", "number", "nr", "no", "num", "code", "index", "rowid", "nummer"}
# Somebody or something that may have several rows.
ENTITY = {"customer", "client", "user", "account", "patient", "member", "person", "subject", "household", "card",
          "kunde", "kunden", "konto", "merchant", "store", "shop", "device", "machine", "vehicle", "driver",
          "student", "employee", "company", "supplier", "property", "session"}  # fmt: skip
_RECORD = {"row", "order", "payment", "transaction", "loan", "case", "record", "sample", "passenger", "house"}
# An attribute that decisions must not discriminate by.
SENSITIVE = {"sex", "gender", "geschlecht", "race", "ethnicity", "ethnic", "religion", "nationality", "disability",
             "disabled", "marital", "pregnant", "orientation", "birthdate", "birthday", "birth", "dob", "senior",
             "immigrant", "foreign", "veteran", "caste", "tribe", "citizenship"}  # fmt: skip
# What identifies a person.
PERSONAL = {"name", "firstname", "lastname", "surname", "email", "mail", "phone", "mobile", "address", "street",
            "ssn", "iban", "passport", "vorname", "nachname", "strasse", "telefon", "ip"}  # fmt: skip
_LATER = {"scenario", "outcome", "result", "resolution", "resolved", "cancelled", "canceled", "cancellation", "closed",
          "refund", "refunded", "chargeback", "settled", "investigation", "confirmed", "predicted", "prediction",
          "score_after", "label", "labelled", "labeled", "reason"}  # fmt: skip
# The moment of an event.
EVENT = {"event", "created", "opened", "ordered", "order", "started", "start", "paid", "booked", "transaction", "sold",
         "purchase", "invoice", "issued", "recorded", "timestamp", "date", "time", "at", "on", "datum"}  # fmt: skip
# The moment at which a label became known.
LABEL_TIME = {"labelled", "labeled", "label", "matured"}


def words(name: str) -> list[str]:
    """Return the words of a name in lower case: `CustomerID` gives customer, id."""
    return [word.lower() for word in _WORDS.findall(name)]


def slug(name: str, longest: int = 40) -> str:
    """Return a name of small letters, digits and underscores, as the keys of params.yaml must be."""
    text = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    text = re.sub(r"[^a-z0-9]+", "_", "_".join(words(text)) or text.lower()).strip("_")
    return (text if text[:1].isalpha() else f"x_{text}".rstrip("_"))[:longest].rstrip("_")


def has_word_of(name: str, kind: set[str]) -> bool:
    """Return whether a word of the name is one of these."""
    return not kind.isdisjoint(words(name))


def is_key_like(name: str) -> bool:
    """Return whether it ends like the name of a key: `order_id`, `InvoiceNo`."""
    parts = words(name)
    return bool(parts) and (parts[-1] in _KEY or parts[-1].removesuffix("id") in ENTITY | _RECORD)


def known_later(name: str, target: str) -> bool:
    """Return whether it names what is usually known only after the outcome, as `churn_reason` does for `churned`."""
    own = set(words(name))
    stems = [word[:5] for word in words(target) if word not in ("is", "has", "was")]
    if any(len(stem) < 3 for stem in stems):  # `y` is no stem of `year`
        stems = []
    return bool(_LATER & own) or (bool(stems) and all(any(word.startswith(stem) for word in own) for stem in stems))
