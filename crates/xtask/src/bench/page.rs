//! The page of figures: prose by people, and between marks the tables that a run writes.

use anyhow::{Context, ensure};

const END: &str = "<!-- end -->";

/// The page with another table between the marks of this name.
///
/// # Errors
///
/// The marks are missing.
pub fn with(page: &str, name: &str, table: &str) -> anyhow::Result<String> {
    let mark = format!("<!-- figures: {name} -->");
    let (before, rest) = page.split_once(&mark).with_context(|| format!("no mark {mark}"))?;
    let (old, after) = rest.split_once(END).with_context(|| format!("no {END} after {mark}"))?;
    ensure!(!old.contains("<!-- figures:"), "no {END} after {mark}");
    Ok(format!("{before}{mark}\n{}\n{END}{after}", table.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::with;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let page = "# A\n<!-- figures: x -->\nold\n<!-- end -->\nprose\n<!-- figures: y -->\n<!-- end -->\nlast\n";
        let page = with(page, "x", "| new |\n").unwrap();
        let page = with(&page, "y", "| 2 |").unwrap();
        assert_eq!(
            page,
            "# A\n<!-- figures: x -->\n| new |\n<!-- end -->\nprose\n<!-- figures: y -->\n| 2 |\n<!-- end -->\nlast\n"
        );
        assert_eq!(with(&page, "y", "| 2 |").unwrap(), page, "the same figures change nothing");
    }

    #[test]
    fn a_page_without_its_marks_is_refused() {
        for page in [
            "no marks",
            "<!-- figures: x -->\nno end",
            "<!-- figures: x -->\n<!-- figures: y -->\n<!-- end -->",
        ] {
            assert!(with(page, "x", "table").is_err(), "{page}");
        }
    }

    #[test]
    fn the_real_page_has_every_mark() {
        let page = include_str!("../../../../docs/benchmarks.md");
        for name in ["machine", "jobs", "log", "frames", "start"] {
            with(page, name, "table").unwrap();
        }
    }
}
