//! A part of Esplora's REST API over the practice chain, so that a wallet's Esplora side can be
//! tried where there is no such server. A test part of the practice network: no desk needs it.
//!
//! Only what wallets ask for: blocks and headers, transactions and their place, the history of a
//! script, spends, fee estimates and the broadcast.

use super::{Chain, State, SubmitError, index::Index};
use crate::http::{self, Body, Service};
use bitcoin::{
    BlockHash, MerkleBlock, OutPoint, Transaction, Txid,
    consensus::encode::{deserialize_hex, serialize, serialize_hex},
};
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use serde_json::{Value, json};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;

const MAX_CONNECTIONS: usize = 32;
const MAX_TX_HEX_BYTES: usize = 2 * 1024 * 1024;
/// Esplora's own page sizes.
const BLOCKS_PER_PAGE: u32 = 10;
const TXS_PER_PAGE: usize = 25;
const UNCONFIRMED_AT_MOST: usize = 50;
const ESTIMATE_SAT_PER_VB: f64 = 2.0;

/// Answers Esplora's calls.
pub struct Esplora {
    chain: Arc<Mutex<Chain>>,
    index: Mutex<Index>,
}

enum Found {
    Text(String),
    Bytes(Vec<u8>),
    Json(Value),
    Missing,
    Bad(String),
}

impl Esplora {
    /// Serves on a free port of this computer until the answered sender says `true` or is gone.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn start(chain: Arc<Mutex<Chain>>) -> io::Result<(SocketAddr, watch::Sender<bool>)> {
        let listener = http::listen(0).await?;
        let address = listener.local_addr()?;
        let (stop, stopping) = watch::channel(false);
        let service = Arc::new(Self { chain, index: Mutex::default() });
        tokio::spawn(http::serve(listener, service, MAX_CONNECTIONS, stopping));
        Ok((address, stop))
    }

    /// Answers `GET path`.
    fn get(&self, path: &str) -> Found {
        let chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        if chain.has_failed() {
            return Found::Missing;
        }
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        index.follow(&chain.state);
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let view = View { state: &chain.state, index: &index };
        view.find(&parts).unwrap_or(Found::Missing)
    }

    fn broadcast(&self, hex: &[u8]) -> Found {
        let tx = std::str::from_utf8(hex).ok().and_then(|hex| deserialize_hex(hex.trim()).ok());
        let Some(tx) = tx else { return Found::Bad("TX decode failed".into()) };
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        match chain.submit(tx, host::clock::now().as_secs()) {
            Ok(txid) => Found::Text(txid.to_string()),
            Err(SubmitError::Refused(refusal)) => Found::Bad(refusal.to_string()),
            Err(SubmitError::File(error)) => Found::Bad(error.to_string()),
        }
    }
}

impl Service for Esplora {
    async fn call(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
        let found = match method {
            Method::GET => tokio::task::spawn_blocking(move || self.get(&path)).await,
            Method::POST if path == "/tx" => {
                match http::read_body(request.into_body(), MAX_TX_HEX_BYTES).await {
                    Ok(hex) => tokio::task::spawn_blocking(move || self.broadcast(&hex)).await,
                    Err(error) => Ok(Found::Bad(error.to_string())),
                }
            }
            _ => Ok(Found::Missing),
        };
        match found {
            Ok(Found::Text(text)) => http::answer(StatusCode::OK, "text/plain", text),
            Ok(Found::Bytes(bytes)) => {
                http::answer(StatusCode::OK, "application/octet-stream", bytes)
            }
            Ok(Found::Json(json)) => {
                http::answer(StatusCode::OK, "application/json", json.to_string())
            }
            Ok(Found::Bad(why)) => http::answer(StatusCode::BAD_REQUEST, "text/plain", why),
            Ok(Found::Missing) => http::answer(StatusCode::NOT_FOUND, "text/plain", "not found"),
            Err(_) => http::answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "broke off"),
        }
    }
}

/// The chain at one moment.
struct View<'a> {
    state: &'a State,
    index: &'a Index,
}

impl View<'_> {
    fn find(&self, parts: &[&str]) -> Option<Found> {
        let state = self.state;
        Some(match parts {
            ["blocks"] => self.blocks(state.height()),
            ["blocks", "tip", "hash"] => Found::Text(state.tip().to_string()),
            ["blocks", "tip", "height"] => Found::Text(state.height().to_string()),
            ["blocks", from] => self.blocks(from.parse().ok()?),
            ["block-height", height] => {
                Found::Text(state.hash_at(height.parse().ok()?)?.to_string())
            }
            ["block", hash, rest @ ..] => self.block(hash, rest)?,
            ["tx", txid, rest @ ..] => self.tx(txid.parse().ok()?, rest)?,
            ["scripthash", hash, rest @ ..] => self.history(hash, rest)?,
            ["fee-estimates"] => {
                let targets = [1, 2, 3, 6, 12, 144, 504, 1_008];
                let estimates = targets.map(|blocks| (blocks.to_string(), ESTIMATE_SAT_PER_VB));
                Found::Json(estimates.into_iter().collect())
            }
            ["mempool", "txids"] => {
                let txids: Vec<Txid> = state.mempool.entries().iter().map(|e| e.txid).collect();
                Found::Json(json!(txids))
            }
            _ => return None,
        })
    }

    /// A page of blocks, the newest first.
    fn blocks(&self, from: u32) -> Found {
        let from = from.min(self.state.height());
        let heights = (from.saturating_sub(BLOCKS_PER_PAGE - 1)..=from).rev();
        Found::Json(heights.filter_map(|height| self.block_json(height)).collect())
    }

    fn block_json(&self, height: u32) -> Option<Value> {
        let block = self.state.block_at(height)?;
        let header = &block.header;
        let previous = (height > 0).then_some(header.prev_blockhash);
        Some(json!({
            "id": header.block_hash(),
            "height": height,
            "version": header.version.to_consensus(),
            "timestamp": header.time,
            "tx_count": block.txdata.len(),
            "size": block.total_size(),
            "weight": block.weight().to_wu(),
            "merkle_root": header.merkle_root,
            "previousblockhash": previous,
            "mediantime": self.state.median_time_past(height),
            "nonce": header.nonce,
            "bits": header.bits.to_consensus(),
            "difficulty": header.difficulty_float(),
        }))
    }

    fn block(&self, hash: &str, rest: &[&str]) -> Option<Found> {
        let hash: BlockHash = hash.parse().ok()?;
        let height = self.state.height_of(&hash)?;
        let block = self.state.block_at(height)?;
        Some(match rest {
            [] => Found::Json(self.block_json(height)?),
            ["header"] => Found::Text(serialize_hex(&block.header)),
            ["raw"] => Found::Bytes(serialize(block)),
            ["status"] => {
                let next = self.state.hash_at(height + 1);
                Found::Json(json!({ "in_best_chain": true, "height": height, "next_best": next }))
            }
            ["txids"] => {
                let txids: Vec<Txid> = block.txdata.iter().map(Transaction::compute_txid).collect();
                Found::Json(json!(txids))
            }
            ["txid", place] => {
                let tx = block.txdata.get(place.parse::<usize>().ok()?)?;
                Found::Text(tx.compute_txid().to_string())
            }
            _ => return None,
        })
    }

    fn transaction(&self, txid: &Txid) -> Option<&Transaction> {
        match self.state.block_of(txid) {
            Some((height, place)) => self.state.block_at(height)?.txdata.get(place),
            None => self.state.mempool.get(txid).map(|entry| &entry.tx),
        }
    }

    fn tx(&self, txid: Txid, rest: &[&str]) -> Option<Found> {
        let tx = self.transaction(&txid)?;
        Some(match rest {
            [] => Found::Json(self.tx_json(&txid, tx)),
            ["raw"] => Found::Bytes(serialize(tx)),
            ["hex"] => Found::Text(serialize_hex(tx)),
            ["status"] => Found::Json(self.status(&txid)),
            ["merkleblock-proof"] => {
                let (height, _) = self.state.block_of(&txid)?;
                let block = self.state.block_at(height)?;
                let proof = MerkleBlock::from_block_with_predicate(block, |of| *of == txid);
                Found::Text(serialize_hex(&proof))
            }
            ["outspend", vout] => {
                let outpoint = OutPoint::new(txid, vout.parse().ok()?);
                tx.output.get(outpoint.vout as usize)?;
                Found::Json(self.spend(&outpoint))
            }
            ["outspends"] => {
                let outputs = 0..u32::try_from(tx.output.len()).ok()?;
                Found::Json(outputs.map(|vout| self.spend(&OutPoint::new(txid, vout))).collect())
            }
            _ => return None,
        })
    }

    fn status(&self, txid: &Txid) -> Value {
        match self.state.block_of(txid) {
            Some((height, _)) => json!({
                "confirmed": true,
                "block_height": height,
                "block_hash": self.state.hash_at(height),
                "block_time": self.state.header_at(height).map(|header| header.time),
            }),
            None => json!({ "confirmed": false }),
        }
    }

    fn spend(&self, outpoint: &OutPoint) -> Value {
        let spender = self.index.spender(outpoint).or_else(|| self.state.mempool.spender(outpoint));
        let Some(spender) = spender else { return json!({ "spent": false }) };
        let vin = self
            .transaction(&spender)
            .and_then(|tx| tx.input.iter().position(|input| input.previous_output == *outpoint));
        json!({ "spent": true, "txid": spender, "vin": vin, "status": self.status(&spender) })
    }

    fn tx_json(&self, txid: &Txid, tx: &Transaction) -> Value {
        let mut paid_in = 0;
        let vin: Vec<Value> = tx
            .input
            .iter()
            .map(|input| {
                let from = input.previous_output;
                let prevout = (!from.is_null())
                    .then(|| self.transaction(&from.txid)?.output.get(from.vout as usize))
                    .flatten();
                paid_in += prevout.map_or(0, |output| output.value.to_sat());
                json!({
                    "txid": from.txid,
                    "vout": from.vout,
                    "prevout": prevout.map(output_json),
                    "scriptsig": input.script_sig,
                    "witness": input.witness.iter().map(hex::encode).collect::<Vec<_>>(),
                    "sequence": input.sequence.0,
                    "is_coinbase": from.is_null(),
                })
            })
            .collect();
        let paid_out: u64 = tx.output.iter().map(|output| output.value.to_sat()).sum();
        json!({
            "txid": txid,
            "version": tx.version.0,
            "locktime": tx.lock_time.to_consensus_u32(),
            "vin": vin,
            "vout": tx.output.iter().map(output_json).collect::<Vec<_>>(),
            "size": tx.total_size(),
            "weight": tx.weight().to_wu(),
            "status": self.status(txid),
            // A coinbase pays more than it takes, and no fee.
            "fee": paid_in.saturating_sub(paid_out),
        })
    }

    /// What a script got or gave: waiting ones first, then blocks from the newest.
    fn history(&self, hash: &str, rest: &[&str]) -> Option<Found> {
        let mut key = [0; 32];
        hex::decode_to_slice(hash, &mut key).ok()?;
        let confirmed = self.index.history(&key).iter().rev().copied();
        let waiting = || self.index.waiting(self.state, &key).into_iter().rev();
        let txids: Vec<Txid> = match rest {
            ["txs"] => {
                waiting().take(UNCONFIRMED_AT_MOST).chain(confirmed.take(TXS_PER_PAGE)).collect()
            }
            ["txs", "mempool"] => waiting().take(UNCONFIRMED_AT_MOST).collect(),
            ["txs", "chain"] => confirmed.take(TXS_PER_PAGE).collect(),
            ["txs", "chain", last] => {
                let last: Txid = last.parse().ok()?;
                confirmed.skip_while(|txid| *txid != last).skip(1).take(TXS_PER_PAGE).collect()
            }
            _ => return None,
        };
        let json = |txid: &Txid| Some(self.tx_json(txid, self.transaction(txid)?));
        Some(Found::Json(txids.iter().filter_map(json).collect()))
    }
}

fn output_json(output: &bitcoin::TxOut) -> Value {
    json!({ "value": output.value.to_sat(), "scriptpubkey": output.script_pubkey })
}
