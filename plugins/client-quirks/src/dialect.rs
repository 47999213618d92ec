//! Quirks that come together.

/// Names, and the quirks that they stand for.
pub(crate) const DIALECTS: &[(&str, &[&str])] = &[
    (
        "camera",
        &[
            "trim",
            "extra-arguments",
            "missing-arguments",
            "drive-letters",
            "backslashes",
            "exists-521",
            "classic-texts",
            "one-line",
        ],
    ),
    (
        "embedded",
        &[
            "trim",
            "extra-arguments",
            "missing-arguments",
            "no-feat",
            "no-epsv",
            "no-mlsd",
            "classic-texts",
            "one-line",
        ],
    ),
    ("mainframe", &["quoted-names", "versions", "site-ok"]),
    (
        "scanner",
        &[
            "trim",
            "extra-arguments",
            "quoted-names",
            "drive-letters",
            "backslashes",
            "site-ok",
            "classic-texts",
            "one-line",
        ],
    ),
    ("typed", &["words", "trim", "quoted-names", "home"]),
    ("windows", &["quoted-names", "drive-letters", "backslashes", "dos-patterns"]),
];
