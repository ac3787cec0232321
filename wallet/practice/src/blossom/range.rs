//! The `Range` header (RFC 9110): one range of bytes, or the whole.

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Whole,
    /// From the first byte to the last, both included.
    Part {
        first: u64,
        last: u64,
    },
    /// Nothing of it exists.
    Unsatisfiable,
}

/// Reads a `Range` header for a body of `len` bytes. What is not understood, or asks for several
/// ranges, gets the whole, as the RFC allows.
pub fn parse(header: Option<&str>, len: u64) -> Wanted {
    let Some(ranges) = header.and_then(|text| text.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    let Some((first, last)) = ranges.split_once('-') else { return Wanted::Whole };
    match (number(first), number(last)) {
        (Ok(None), Ok(Some(0))) => Wanted::Unsatisfiable,
        (Ok(None), Ok(Some(_))) if len == 0 => Wanted::Unsatisfiable,
        (Ok(None), Ok(Some(suffix))) => {
            Wanted::Part { first: len.saturating_sub(suffix), last: len - 1 }
        }
        (Ok(Some(first)), Ok(_)) if first >= len => Wanted::Unsatisfiable,
        (Ok(Some(first)), Ok(last)) => {
            let last = last.map_or(len - 1, |last| last.min(len - 1));
            if last < first { Wanted::Whole } else { Wanted::Part { first, last } }
        }
        _ => Wanted::Whole,
    }
}

fn number(text: &str) -> Result<Option<u64>, ()> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(());
    }
    // A number beyond u64 is beyond every blob as well.
    Ok(Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let part = |first, last| Wanted::Part { first, last };
        for (text, wanted) in [
            ("bytes=0-4", part(0, 4)),
            ("bytes=5-", part(5, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-30", part(0, 9)),
            ("bytes=2-100", part(2, 9)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=4-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("items=0-1", Wanted::Whole),
            ("bytes=x-1", Wanted::Whole),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
        ] {
            assert_eq!(parse(Some(text), 10), wanted, "{text}");
        }
        assert_eq!(parse(None, 10), Wanted::Whole);
        assert_eq!(parse(Some("bytes=0-"), 0), Wanted::Unsatisfiable);
    }

    proptest! {
        #[test]
        fn a_part_always_lies_within(text in "bytes=[0-9]{0,22}-[0-9]{0,22}", len in any::<u64>()) {
            if let Wanted::Part { first, last } = parse(Some(&text), len) {
                prop_assert!(first <= last && last < len);
            }
        }

        #[test]
        fn any_text_is_read(text in ".{0,60}") {
            let _never_panics = parse(Some(&text), 10);
        }
    }
}
