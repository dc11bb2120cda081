"""Names as nobody should give them."""

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "a'b\"c onload=x",
    "{{ 7 * 7 }} javascript:alert(3)",
    "\u202egnp.exe \x1b[31m",
    "</style></title><svg onload=alert(4)>",
    "\u05d0\u05d1\u200f <!--",
    "x" * 10_000,
)
