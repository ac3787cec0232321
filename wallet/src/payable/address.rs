//! Bitcoin addresses (BIP 13, BIP 173, BIP 350), checked for their network.

use bitcoin::{Address, AddressType, address::NetworkUnchecked};
use domain::Network;

use super::{Kind, Payable, PayableError};

const WHAT: &str = "bitcoin address";

/// Reads a bitcoin address, or says that the text is nothing known.
pub(super) fn read(text: &str, network: Network) -> Result<Payable, PayableError> {
    let unchecked: Address<NetworkUnchecked> = match text.parse() {
        Ok(address) => address,
        Err(_) => return Err(refusal(text)),
    };
    let wanted = on_chain(network);
    if !unchecked.is_valid_for_network(wanted) {
        let found = network_of(&unchecked);
        return Err(PayableError::OtherNetwork { what: WHAT, found, wanted: network });
    }
    let address = unchecked
        .require_network(wanted)
        .map_err(|_| PayableError::malformed(WHAT, "its network can't be told"))?;
    match address.address_type() {
        Some(
            AddressType::P2pkh
            | AddressType::P2sh
            | AddressType::P2wpkh
            | AddressType::P2wsh
            | AddressType::P2tr,
        ) => {}
        _ => {
            let why = "it is of a kind that anybody could spend from, or that nobody can yet";
            return Err(PayableError::Unsupported { what: WHAT, why });
        }
    }
    let text = address.to_string();
    Ok(Payable::new(Kind::Onchain, text.clone(), text))
}

/// Whether the text means to be an address, only with something wrong in it.
fn refusal(text: &str) -> PayableError {
    let lower = text.to_ascii_lowercase();
    let is_segwit = ["bc1", "tb1", "bcrt1"].iter().any(|start| lower.starts_with(start));
    let is_base58 = (26..=35).contains(&text.len())
        && text.starts_with(['1', '2', '3', 'm', 'n'])
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_segwit && !is_base58 {
        return PayableError::Unknown;
    }
    PayableError::malformed(WHAT, "its characters do not add up, some are missing or wrong")
}

const fn on_chain(network: Network) -> bitcoin::Network {
    match network {
        Network::Practice | Network::Regtest => bitcoin::Network::Regtest,
        Network::Signet => bitcoin::Network::Signet,
        Network::Mainnet => bitcoin::Network::Bitcoin,
    }
}

fn network_of(address: &Address<NetworkUnchecked>) -> &'static str {
    let is = |network| address.is_valid_for_network(network);
    if is(bitcoin::Network::Bitcoin) {
        "mainnet"
    } else if is(bitcoin::Network::Signet) {
        "a test network"
    } else {
        "a regtest or practice network"
    }
}
