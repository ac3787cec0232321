//! Client messages (NIP-01, NIP-42): read within limits, or refused with an answer for the client.

use super::config::RelayConfig;
use nostr::{event::Event, filter::Filter};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// What a client says.
#[derive(Debug)]
pub enum ClientMessage {
    Event(Box<Event>),
    Req { subscription: Arc<str>, filters: Vec<Filter> },
    Close(Arc<str>),
    Auth(Box<Event>),
}

/// Why a message was not understood, and in which form the client hears of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `["OK", id, false, text]`: so that whoever waits for an OK is not left waiting.
    Event { id: String, text: String },
    /// `["CLOSED", subscription, text]`.
    Subscription { id: String, text: String },
    /// `["NOTICE", text]`.
    Message(String),
}

/// Only the id of an event, whatever else is wrong with it.
#[derive(Deserialize)]
struct IdOnly<'a> {
    #[serde(borrow)]
    id: Option<std::borrow::Cow<'a, str>>,
}

fn notice(text: impl Into<String>) -> Refusal {
    Refusal::Message(text.into())
}

/// Reads one message.
///
/// # Errors
/// With the answer for the client.
pub fn parse(text: &str, config: &RelayConfig) -> Result<ClientMessage, Refusal> {
    let parts: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| notice(format!("invalid: this is not a JSON array: {error}")))?;
    let Some((kind, rest)) = parts.split_first() else {
        return Err(notice("invalid: the message is empty"));
    };
    let kind: String = serde_json::from_str(kind.get())
        .map_err(|_| notice("invalid: a message starts with its type"))?;
    match (kind.as_str(), rest) {
        ("EVENT", [event]) => Ok(ClientMessage::Event(parse_event(event, config)?)),
        ("AUTH", [event]) => Ok(ClientMessage::Auth(parse_event(event, config)?)),
        ("REQ", [id, filters @ ..]) => parse_req(id, filters, config),
        ("CLOSE", [id]) => {
            let id = subscription_id(id, config)?;
            Ok(ClientMessage::Close(id.into()))
        }
        ("EVENT" | "AUTH" | "REQ" | "CLOSE", _) => {
            Err(notice(format!("invalid: {kind} has a wrong number of parts")))
        }
        _ => {
            let shown: String = kind.chars().take(32).collect();
            Err(notice(format!("unsupported: messages of type {shown:?} are not understood")))
        }
    }
}

fn parse_event(raw: &RawValue, config: &RelayConfig) -> Result<Box<Event>, Refusal> {
    let refuse = |text: String| {
        let id = serde_json::from_str::<IdOnly>(raw.get()).ok().and_then(|only| only.id);
        match id {
            Some(id) if id.len() == 64 => Refusal::Event { id: id.into_owned(), text },
            _ => Refusal::Message(text),
        }
    };
    let bytes = raw.get().len();
    if bytes > config.max_event_bytes {
        let most = config.max_event_bytes;
        return Err(refuse(format!(
            "invalid: the event has {bytes} bytes, at most {most} are taken"
        )));
    }
    let event = Event::from_json(raw.get())
        .map_err(|error| refuse(format!("invalid: this is not an event: {error}")))?;
    if event.tags.len() > config.max_tags {
        return Err(refuse(format!("invalid: at most {} tags are taken", config.max_tags)));
    }
    Ok(Box::new(event))
}

fn subscription_id(raw: &RawValue, config: &RelayConfig) -> Result<String, Refusal> {
    let id: String = serde_json::from_str(raw.get())
        .map_err(|_| notice("invalid: a subscription id is a string"))?;
    let chars = id.chars().count();
    if chars == 0 || chars > config.max_subscription_id_chars {
        let most = config.max_subscription_id_chars;
        return Err(notice(format!("invalid: a subscription id has 1 to {most} characters")));
    }
    Ok(id)
}

fn parse_req(
    id: &RawValue,
    filters: &[&RawValue],
    config: &RelayConfig,
) -> Result<ClientMessage, Refusal> {
    let id = subscription_id(id, config)?;
    let refuse = |text: String| Refusal::Subscription { id: id.clone(), text };
    if filters.is_empty() || filters.len() > config.max_filters {
        let most = config.max_filters;
        return Err(refuse(format!("invalid: a subscription has 1 to {most} filters")));
    }
    let mut values = 0;
    let filters = filters
        .iter()
        .map(|raw| {
            let filter = Filter::from_json(raw.get())
                .map_err(|error| refuse(format!("invalid: this is not a filter: {error}")))?;
            if filter.search.is_some() {
                return Err(refuse("unsupported: this relay does not search (NIP-50)".into()));
            }
            values += count_values(&filter);
            Ok(filter)
        })
        .collect::<Result<Vec<_>, _>>()?;
    if values > config.max_filter_values {
        let most = config.max_filter_values;
        return Err(refuse(format!("invalid: the filters list {values} values, at most {most}")));
    }
    Ok(ClientMessage::Req { subscription: id.into(), filters })
}

fn count_values(filter: &Filter) -> usize {
    filter.ids.as_ref().map_or(0, |ids| ids.len())
        + filter.authors.as_ref().map_or(0, |authors| authors.len())
        + filter.kinds.as_ref().map_or(0, |kinds| kinds.len())
        + filter.generic_tags.values().map(|values| values.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<ClientMessage, Refusal> {
        parse(text, &RelayConfig { max_event_bytes: 2_000, ..RelayConfig::default() })
    }

    fn refusal(text: &str) -> Refusal {
        read(text).unwrap_err()
    }

    #[test]
    fn subscriptions_are_read() {
        match read(r##"["REQ","s1",{"kinds":[5050],"#p":["ab"],"limit":3},{"ids":[]}]"##).unwrap() {
            ClientMessage::Req { subscription, filters } => {
                assert_eq!(&*subscription, "s1");
                assert_eq!((filters.len(), filters[0].limit), (2, Some(3)));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(read(r#"["CLOSE","s1"]"#), Ok(ClientMessage::Close(id)) if &*id == "s1"));
    }

    #[test]
    fn what_is_not_a_message_is_noticed() {
        for text in ["", "{}", "[]", "[1]", "[\"EVENT\"]", "[\"CLOSE\",5]", "[\"COUNT\",\"s\",{}]"]
        {
            assert!(matches!(refusal(text), Refusal::Message(_)), "{text}");
        }
    }

    #[test]
    fn bad_subscriptions_are_closed() {
        let long = format!(r#"["REQ","{}",{{}}]"#, "x".repeat(65));
        assert!(matches!(refusal(&long), Refusal::Message(_)));
        for text in [
            r#"["REQ","s"]"#,
            r#"["REQ","s",{"kinds":["x"]}]"#,
            r#"["REQ","s",{"authors":["short"]}]"#,
            r#"["REQ","s",{"search":"x"}]"#,
        ] {
            assert!(matches!(refusal(text), Refusal::Subscription { .. }), "{text}");
        }
        let many = vec!["{}"; 33].join(",");
        assert!(matches!(refusal(&format!(r#"["REQ","s",{many}]"#)), Refusal::Subscription { .. }));
    }

    #[test]
    fn an_event_that_is_too_large_gets_an_ok_false() {
        let id = "ab".repeat(32);
        let content = "x".repeat(3_000);
        match refusal(&format!(r#"["EVENT",{{"id":"{id}","content":"{content}"}}]"#)) {
            Refusal::Event { id: refused, text } => {
                assert_eq!(refused, id);
                assert!(text.starts_with("invalid: the event has"), "{text}");
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            refusal(&format!(r#"["EVENT",{{"id":"{id}","kind":"x"}}]"#)),
            Refusal::Event { .. }
        ));
        assert!(matches!(refusal(r#"["EVENT",{"id":7}]"#), Refusal::Message(_)));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,300}") {
            let _never_panics = read(&text);
        }

        #[test]
        fn anything_like_a_message_is_read_or_refused(
            kind in prop::sample::select(vec!["EVENT", "REQ", "CLOSE", "AUTH"]),
            rest in prop::collection::vec(
                prop_oneof![
                    Just("\"s\"".to_owned()),
                    Just("{}".to_owned()),
                    "\\{\"(id|kinds|#p|since|limit|tags)\":(1|-1|\\[\\]|\\[\"a\"\\]|\"x\"|null)\\}",
                    "[0-9]{1,25}",
                    "\\[{1,140}",
                ],
                0..4,
            ),
        ) {
            let parts = rest.iter().fold(format!("\"{kind}\""), |all, part| all + "," + part);
            if let Err(Refusal::Message(text)) = read(&format!("[{parts}]")) {
                prop_assert!(!text.is_empty());
            }
        }
    }
}
