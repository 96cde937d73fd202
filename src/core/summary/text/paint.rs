//! Colours, by what they mark.

/// Marks what it is given, or leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    /// Whether to mark at all.
    pub(super) on: bool,
    /// In the legacy text, what is faint is marked in other words.
    pub(super) legacy: bool,
}

impl Paint {
    /// A heading.
    pub(super) fn heading(self, text: &str) -> String {
        self.mark("1", text)
    }

    /// What went well.
    pub(super) fn good(self, text: &str) -> String {
        self.mark("32", text)
    }

    /// What went wrong.
    pub(super) fn bad(self, text: &str) -> String {
        self.mark("31", text)
    }

    /// A threshold's own words.
    pub(super) fn words(self, text: &str) -> String {
        self.mark("37", text)
    }

    /// A value.
    pub(super) fn value(self, text: &str) -> String {
        self.mark("36", text)
    }

    /// A value beside the main one.
    pub(super) fn aside(self, text: &str) -> String {
        self.mark(if self.legacy { "36;2" } else { "2;36" }, text)
    }

    /// What leads from a name to its value.
    pub(super) fn leader(self, text: &str) -> String {
        self.mark(if self.legacy { "2" } else { "2;37" }, text)
    }

    fn mark(self, codes: &str, text: &str) -> String {
        if self.on { format!("\x1b[{codes}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
