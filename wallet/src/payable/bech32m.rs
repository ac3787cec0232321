//! Bech32 text of any length, whole and in its one spelling.

use bitcoin::bech32::{
    self, Bech32, Bech32m, Checksum, Hrp, NoChecksum, primitives::decode::CheckedHrpstring,
};

/// BIP 173's checksum, for text longer than the BIP's bound, as LNURLs are.
pub(super) enum LongBech32 {}

impl Checksum for LongBech32 {
    type MidstateRepr = <Bech32 as Checksum>::MidstateRepr;
    const CODE_LENGTH: usize = super::MAX_TEXT_LEN;
    const CHECKSUM_LENGTH: usize = Bech32::CHECKSUM_LENGTH;
    const GENERATOR_SH: [Self::MidstateRepr; 5] = Bech32::GENERATOR_SH;
    const TARGET_RESIDUE: Self::MidstateRepr = Bech32::TARGET_RESIDUE;
}

/// The human-readable part in lower case and the bytes.
///
/// Refused are mixed case, a wrong checksum, and padding that carries bits or is too long: one
/// text, one meaning.
fn decode<C: Checksum>(text: &str) -> Result<(String, Vec<u8>), &'static str> {
    let checked = CheckedHrpstring::new::<C>(text)
        .map_err(|_| "its characters do not add up, some are missing or wrong")?;
    let hrp = checked.hrp();
    let bytes: Vec<u8> = checked.byte_iter().collect();
    let again = encode::<C>(&hrp.to_lowercase(), &bytes);
    if again.as_deref() != Some(text.to_ascii_lowercase().as_str()) {
        return Err("its last character is wrong");
    }
    Ok((hrp.to_lowercase(), bytes))
}

pub(super) fn decode_long(text: &str) -> Result<(String, Vec<u8>), &'static str> {
    decode::<LongBech32>(text)
}

pub(super) fn decode_m(text: &str) -> Result<(String, Vec<u8>), &'static str> {
    decode::<Bech32m>(text)
}

pub(super) fn decode_bare(text: &str) -> Result<(String, Vec<u8>), &'static str> {
    decode::<NoChecksum>(text)
}

/// Nothing where the prefix is none or the bytes are too many.
pub(super) fn encode<C: Checksum>(hrp: &str, bytes: &[u8]) -> Option<String> {
    bech32::encode_lower::<C>(Hrp::parse(hrp).ok()?, bytes).ok()
}
