//! The extraction itself. It runs inside the sandbox: its libraries meet hostile documents.

use encoding_rs::{Encoding, UTF_8};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::borrow::Cow;

use crate::kinds::{Refusal, params::shortened};

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Html,
    Pdf,
    Markdown,
    Plain,
    /// Not said; the first bytes tell.
    Unknown,
}

/// Columns that block layout (tables, quotes) is wrapped to.
const WIDTH: usize = 100;

impl Format {
    /// The format that a media type names (RFC 6838); parameters but the charset do not matter.
    pub(crate) fn named(media_type: &str) -> Result<Self, Refusal> {
        let essence = media_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match essence.as_str() {
            "text/html" | "application/xhtml+xml" => Ok(Self::Html),
            "application/pdf" => Ok(Self::Pdf),
            "text/markdown" | "text/x-markdown" => Ok(Self::Markdown),
            "text/plain" => Ok(Self::Plain),
            "" | "application/octet-stream" => Ok(Self::Unknown),
            _ => Err(Refusal::input(format!(
                "documents of type {:?} are not read here; text/html, application/pdf, \
                 text/markdown and text/plain are",
                shortened(media_type)
            ))),
        }
    }

    /// Looks at the document where its type was not said.
    pub(crate) fn settle(self, bytes: &[u8]) -> Result<Self, Refusal> {
        if self != Self::Unknown {
            return Ok(self);
        }
        let head = String::from_utf8_lossy(&bytes[..bytes.len().min(1_024)]).to_ascii_lowercase();
        let head = head.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
        if head.starts_with("%pdf-") {
            Ok(Self::Pdf)
        } else if head.starts_with("<!doctype html") || head.starts_with("<html") {
            Ok(Self::Html)
        } else if std::str::from_utf8(bytes).is_ok() {
            Ok(Self::Plain)
        } else {
            Err(Refusal::input("the document says no type, and its contents do not tell one"))
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Html => "text/html",
            Self::Pdf => "application/pdf",
            Self::Markdown => "text/markdown",
            Self::Plain => "text/plain",
            Self::Unknown => "application/octet-stream",
        }
    }

    /// What reads it, so that a buyer knows whether reading again must give the same.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Html => "html2text/0.17",
            Self::Pdf => "pdf-extract/0.12",
            Self::Markdown => "pulldown-cmark/0.13",
            Self::Plain | Self::Unknown => "encoding_rs/0.8",
        }
    }
}

/// Arguments: media type, the most bytes to give back.
pub(crate) fn builtin(input: &[u8], args: &[String]) -> Result<Vec<u8>, String> {
    let [media_type, max_bytes] = args else { return Err("two arguments are needed".into()) };
    let format = Format::named(media_type).map_err(|refusal| refusal.message)?;
    let max_bytes: usize = max_bytes.parse().map_err(|_| "a size is needed")?;
    let text = extract(input, format)?;
    // Control characters carry no text, and some act on terminals.
    let keep = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    let mut text: Vec<u8> = text.chars().filter(keep).collect::<String>().into_bytes();
    text.truncate(max_bytes);
    Ok(text)
}

pub(crate) fn extract(input: &[u8], format: Format) -> Result<String, String> {
    match format {
        Format::Plain | Format::Unknown => Ok(decode(input, false).into_owned()),
        Format::Markdown => Ok(markdown(&decode(input, false))),
        Format::Html => {
            let html = decode(input, true);
            html2text::config::plain_no_decorate()
                .allow_width_overflow()
                .string_from_read(html.as_bytes(), WIDTH)
                .map_err(|error| format!("the HTML cannot be read: {error}"))
        }
        Format::Pdf => pdf_extract::extract_text_from_mem(input)
            .map_err(|error| format!("the PDF cannot be read: {error}")),
    }
}

/// Text by its byte order mark, else by what HTML says of itself, else UTF-8; what does not
/// decode is replaced.
fn decode(input: &[u8], html: bool) -> Cow<'_, str> {
    let said = if html { declared(input) } else { None };
    let (text, _, _) = said.unwrap_or(UTF_8).decode(input);
    text
}

/// The `charset=` within the first KiB of an HTML document (HTML living standard, prescan).
fn declared(input: &[u8]) -> Option<&'static Encoding> {
    let head = input[..input.len().min(1_024)].to_ascii_lowercase();
    let at = head.windows(8).position(|window| window == b"charset=")? + 8;
    let label: Vec<u8> = head[at..]
        .iter()
        .copied()
        .skip_while(|byte| matches!(byte, b'"' | b'\'' | b' '))
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':'))
        .collect();
    Encoding::for_label(&label)
}

/// The words of a Markdown document: no markup, one blank line between blocks.
fn markdown(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_FOOTNOTES;
    for event in Parser::new_ext(source, options) {
        match event {
            Event::Text(words) | Event::Code(words) => text.push_str(&words),
            Event::InlineMath(words) | Event::DisplayMath(words) => text.push_str(&words),
            Event::SoftBreak | Event::HardBreak => text.push('\n'),
            Event::Start(Tag::Item) => {
                end_line(&mut text);
                text.push_str("- ");
            }
            Event::End(TagEnd::Item | TagEnd::TableRow | TagEnd::TableHead) => end_line(&mut text),
            Event::End(TagEnd::TableCell) => text.push('\t'),
            Event::End(
                TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::CodeBlock | TagEnd::BlockQuote(_),
            )
            | Event::End(TagEnd::List(_) | TagEnd::Table | TagEnd::HtmlBlock)
            | Event::Rule => {
                end_line(&mut text);
                text.push('\n');
            }
            _ => {}
        }
    }
    let mut shown = text.trim().to_owned();
    while shown.contains("\n\n\n") {
        shown = shown.replace("\n\n\n", "\n\n");
    }
    shown.push('\n');
    shown
}

fn end_line(text: &mut String) {
    while text.ends_with([' ', '\t']) {
        text.pop();
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gives_the_words_and_not_the_markup() {
        let html = b"<html><head><title>t</title><style>x{}</style><script>evil()</script></head>\
                     <body><h1>Head</h1><p>One <b>two</b> &amp; three</p></body></html>";
        let text = extract(html, Format::Html).unwrap();
        assert!(text.contains("Head") && text.contains("One two & three"), "{text}");
        assert!(!text.contains("evil") && !text.contains('<'), "{text}");
        let text = markdown("# Head\n\nOne *two*\n\n- a\n- b\n\n|x|y|\n|-|-|\n|1|2|\n\n<b>tag</b>");
        assert_eq!(text, "Head\n\nOne two\n\n- a\n- b\n\nx\ty\n1\t2\n\ntag\n");
    }

    #[test]
    fn decodes_by_mark_and_by_declaration() {
        assert_eq!(decode(b"\xef\xbb\xbfa", false), "a");
        assert_eq!(decode(b"\xff\xfea\0", false), "a");
        let html = b"<meta charset=\"iso-8859-1\"><p>\xe9</p>";
        assert!(extract(html, Format::Html).unwrap().contains('é'));
        assert_eq!(decode(b"\xe9", false), "\u{fffd}");
    }

    #[test]
    fn takes_known_types_and_looks_where_none_is_said() {
        assert_eq!(Format::named("Text/HTML; charset=x").unwrap(), Format::Html);
        assert!(Format::named("image/png\n<script>").is_err());
        let unknown = Format::named("application/octet-stream").unwrap();
        assert_eq!(unknown.settle(b"%PDF-1.7 x").unwrap(), Format::Pdf);
        assert_eq!(unknown.settle(b"  <!DOCTYPE html>").unwrap(), Format::Html);
        assert_eq!(unknown.settle(b"words").unwrap(), Format::Plain);
        assert!(unknown.settle(b"\xff\xff\x00").is_err());
    }

    #[test]
    fn control_characters_do_not_get_through() {
        let args = ["text/plain".to_owned(), "100".to_owned()];
        assert_eq!(builtin(b"a\x1b[31mb\n\x07", &args).unwrap(), b"a[31mb\n");
        assert!(builtin(b"", &[]).is_err());
    }

    proptest! {
        #[test]
        fn no_text_document_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..1_000), soup in "[<>/a-z =\"&#0-9*|`\\[\\]\n-]{0,200}") {
            for input in [bytes.as_slice(), soup.as_bytes()] {
                for format in [Format::Html, Format::Markdown, Format::Plain] {
                    let _ = extract(input, format);
                }
            }
        }
    }
}
