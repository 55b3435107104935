"""Keeping secrets out of logs, manifests and reports."""

import re

# One slash will do: a URL that was taken for a path has lost the other.
_CREDENTIALS_IN_URL = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]+:/{1,2})[^\s/@'\"]+@", re.IGNORECASE)
_SECRET_KEY = re.compile(
    r"(?P<key>[\w.-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|authorization)[\w-]*"
    r"[\"']?\s*[=:]\s*)(?P<value>\"[^\"]*\"|'[^']*'|(?:bearer|basic)\s+\S+|[^\s,;&}\]\"']+)",
    re.IGNORECASE,
)


def mask_secrets(text: str) -> str:
    """`text` with the credentials of URLs and the values of keys such as `password` or `token` replaced by `***`."""
    return _SECRET_KEY.sub(r"\g<key>***", _CREDENTIALS_IN_URL.sub(r"\g<scheme>***@", text))
