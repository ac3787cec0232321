//! Tests of what needs no server.

use super::*;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

#[test]
fn urls_name_hashes() {
    let sha256 = Sha256Hash::of(b"x");
    for server in ["https://cdn.example.com", "https://cdn.example.com/a/b?c#d"] {
        let url = blob_url(server, &sha256).unwrap();
        assert_eq!(url.as_str(), format!("https://cdn.example.com/{sha256}"));
        assert_eq!(blob_hash_of(url.as_str()), Some(sha256));
    }
    assert_eq!(blob_hash_of(&format!("https://a.com/user/{sha256}.tar.gz?x=1")), Some(sha256));
    for none in [
        "https://a.com/".to_owned(),
        format!("https://a.com/{}", sha256.to_string().to_uppercase()),
        format!("https://a.com/x{sha256}"),
        format!("https://a.com/?{sha256}"),
    ] {
        assert_eq!(blob_hash_of(&none), None, "{none}");
    }
    assert!(blob_url("data:,x", &sha256).is_err());
    assert!(blob_url("cdn.example.com", &sha256).is_err());
}

proptest! {
    #[test]
    fn a_token_reads_the_same_in_both_alphabets(hex in "[0-9a-f]{64}", at in any::<u32>()) {
        let json = format!(
            r#"{{"id":"{hex}","created_at":{at},"kind":24242,"tags":[["t","upload"],["x","{hex}"]],"content":"Upload Blob"}}"#
        );
        let token = token_of(json.clone());
        let decoded = STANDARD.decode(&token).unwrap();
        prop_assert_eq!(URL_SAFE_NO_PAD.decode(&token).unwrap(), decoded.clone());
        let decoded = String::from_utf8(decoded).unwrap();
        prop_assert_eq!(decoded.trim_end(), json);
    }

    #[test]
    fn no_text_panics(text in ".{0,120}") {
        let _ = (blob_hash_of(&text), blob_url(&text, &Sha256Hash::of(b"")));
    }
}
