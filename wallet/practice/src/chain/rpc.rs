//! The methods of bitcoind's JSON-RPC that Lightning nodes and simple tools call.

use super::{Chain, ChainError, SubmitError, mempool::Entry};
use bitcoin::{
    Address, BlockHash, Network, OutPoint, Transaction, Txid,
    address::NetworkUnchecked,
    block::Header,
    consensus::encode::{deserialize_hex, serialize_hex},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::str::FromStr;

/// Larger than the hex of the heaviest transaction that the mempool takes.
pub const MAX_REQUEST_BYTES: usize = 2 * 1024 * 1024;
const MAX_BATCH: usize = 10_000;
/// One satoshi per byte, in bitcoin per thousand bytes, as bitcoind says it.
const RELAY_FEE_BTC_PER_KVB: f64 = 0.000_01;
const ESTIMATE_BTC_PER_KVB: f64 = 0.000_02;

/// An error in bitcoind's codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    pub code: i32,
    pub message: String,
}

impl RpcError {
    pub const PARSE: i32 = -32700;
    pub const INVALID_REQUEST: i32 = -32600;
    pub const METHOD_NOT_FOUND: i32 = -32601;
    const NOT_FOUND: i32 = -5;
    const INVALID_PARAMETER: i32 = -8;
    const TYPE: i32 = -3;
    const DECODE: i32 = -22;
    const MISC: i32 = -1;

    fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn not_found(message: &str) -> Self {
        Self::new(Self::NOT_FOUND, message)
    }
}

/// One call.
#[derive(Debug, Deserialize)]
pub struct RpcRequest {
    pub method: String,
    #[serde(default)]
    pub params: Value,
    #[serde(default)]
    pub id: Value,
}

/// What one HTTP request asks.
#[derive(Debug)]
pub enum Calls {
    One(RpcRequest),
    /// Each is answered for itself, in their order.
    Batch(Vec<Result<RpcRequest, RpcError>>),
}

/// Reads a call, or a batch of them.
///
/// # Errors
/// With the codes of JSON-RPC if it is not JSON, not a call, or too many of them.
pub fn parse_requests(body: &[u8]) -> Result<Calls, RpcError> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| RpcError::new(RpcError::PARSE, format!("Parse error: {error}")))?;
    match value {
        Value::Array(calls) if calls.is_empty() || calls.len() > MAX_BATCH => {
            let text = format!("A batch has 1 to {MAX_BATCH} calls");
            Err(RpcError::new(RpcError::INVALID_REQUEST, text))
        }
        Value::Array(calls) => Ok(Calls::Batch(calls.into_iter().map(parse_call).collect())),
        call => parse_call(call).map(Calls::One),
    }
}

fn parse_call(value: Value) -> Result<RpcRequest, RpcError> {
    let request: RpcRequest = serde_json::from_value(value).map_err(|error| {
        RpcError::new(RpcError::INVALID_REQUEST, format!("Invalid request: {error}"))
    })?;
    if !matches!(request.params, Value::Null | Value::Array(_)) {
        let text = "Params must be an array";
        return Err(RpcError::new(RpcError::INVALID_REQUEST, text));
    }
    Ok(request)
}

/// Positional parameters.
struct Params<'a>(&'a [Value]);

impl<'a> Params<'a> {
    fn of(request: &'a RpcRequest) -> Self {
        Self(request.params.as_array().map_or(&[], Vec::as_slice))
    }

    fn get(&self, index: usize) -> Option<&'a Value> {
        self.0.get(index).filter(|value| !value.is_null())
    }

    fn text(&self, index: usize, name: &str) -> Result<&'a str, RpcError> {
        self.get(index)
            .and_then(Value::as_str)
            .ok_or_else(|| RpcError::new(RpcError::TYPE, format!("{name} must be a string")))
    }

    fn parsed<T: FromStr>(&self, index: usize, name: &str) -> Result<T, RpcError> {
        self.text(index, name)?.parse().map_err(|_| {
            RpcError::new(RpcError::INVALID_PARAMETER, format!("{name} is not of the right form"))
        })
    }

    fn number(&self, index: usize, name: &str) -> Result<u32, RpcError> {
        self.get(index)
            .and_then(Value::as_u64)
            .and_then(|n| u32::try_from(n).ok())
            .ok_or_else(|| RpcError::new(RpcError::TYPE, format!("{name} must be a whole number")))
    }

    /// bitcoind takes both `true` and `1`.
    fn verbosity(&self, index: usize, default: u64) -> u64 {
        match self.get(index) {
            Some(Value::Bool(verbose)) => u64::from(*verbose),
            Some(value) => value.as_u64().unwrap_or(default),
            None => default,
        }
    }
}

impl Chain {
    /// Answers one call.
    ///
    /// # Errors
    /// In bitcoind's codes; "not found" is -5, which Lightning nodes rely on.
    pub fn call(&mut self, request: &RpcRequest, now_secs: u64) -> Result<Value, RpcError> {
        if self.failed {
            let text =
                "The practice chain's file could not be written; restart the practice network";
            return Err(RpcError::new(RpcError::MISC, text));
        }
        let params = Params::of(request);
        match request.method.as_str() {
            "getblockchaininfo" => Ok(self.info()),
            "getblockcount" => Ok(json!(self.height())),
            "getbestblockhash" => Ok(json!(self.tip())),
            "getblockhash" => self.block_hash(&params),
            "getblockheader" => self.block_header(&params),
            "getblock" => self.block(&params),
            "getrawmempool" => Ok(self.raw_mempool(&params)),
            "getmempoolentry" => self.mempool_entry(&params),
            "getmempoolinfo" => Ok(self.mempool_info()),
            "estimatesmartfee" => Ok(json!({ "feerate": ESTIMATE_BTC_PER_KVB, "blocks": 2 })),
            "getrawtransaction" => self.raw_transaction(&params),
            "gettxout" => self.tx_out(&params),
            "getindexinfo" => Ok(json!({
                "txindex": { "synced": true, "best_block_height": self.height() },
            })),
            "sendrawtransaction" => self.send(&params, now_secs),
            "generatetoaddress" => self.generate(&params, now_secs),
            "getnetworkinfo" => Ok(json!({
                "version": 280_000,
                "subversion": concat!("/PilothousePractice:", env!("CARGO_PKG_VERSION"), "/"),
                "protocolversion": 70_016,
                "connections": 0,
                "networkactive": false,
                "relayfee": RELAY_FEE_BTC_PER_KVB,
                "warnings": [],
            })),
            _ => Err(RpcError::new(RpcError::METHOD_NOT_FOUND, "Method not found")),
        }
    }

    fn info(&self) -> Value {
        let height = self.height();
        let work = self.state.work_at(height).map(|work| hex::encode(work.to_be_bytes()));
        json!({
            "chain": "regtest",
            "blocks": height,
            "headers": height,
            "bestblockhash": self.tip(),
            "time": self.state.header_at(height).map(|header| header.time),
            "mediantime": self.state.median_time_past(height),
            "verificationprogress": 1.0,
            "initialblockdownload": false,
            "chainwork": work,
            "pruned": false,
            "warnings": [],
        })
    }

    fn block_hash(&self, params: &Params) -> Result<Value, RpcError> {
        let height = params.number(0, "height")?;
        self.state
            .hash_at(height)
            .map(|hash| json!(hash))
            .ok_or_else(|| RpcError::new(RpcError::INVALID_PARAMETER, "Block height out of range"))
    }

    fn height_param(&self, params: &Params) -> Result<u32, RpcError> {
        let hash: BlockHash = params.parsed(0, "blockhash")?;
        self.state.height_of(&hash).ok_or_else(|| RpcError::not_found("Block not found"))
    }

    fn block_header(&self, params: &Params) -> Result<Value, RpcError> {
        let height = self.height_param(params)?;
        let header = self.state.header_at(height).ok_or_else(block_gone)?;
        if params.verbosity(1, 1) == 0 {
            return Ok(json!(serialize_hex(header)));
        }
        Ok(self.header_json(height, header))
    }

    fn header_json(&self, height: u32, header: &Header) -> Value {
        let mut json = json!({
            "hash": header.block_hash(),
            "confirmations": self.height() - height + 1,
            "height": height,
            "version": header.version.to_consensus(),
            "versionHex": format!("{:08x}", header.version.to_consensus()),
            "merkleroot": header.merkle_root,
            "time": header.time,
            "mediantime": self.state.median_time_past(height),
            "nonce": header.nonce,
            "bits": format!("{:08x}", header.bits.to_consensus()),
            "difficulty": header.difficulty_float(),
            "chainwork": self.state.work_at(height).map(|work| hex::encode(work.to_be_bytes())),
            "nTx": self.state.block_at(height).map(|block| block.txdata.len()),
        });
        // As in bitcoind, genesis has no previous block and the tip no next one.
        if height > 0 {
            json["previousblockhash"] = json!(header.prev_blockhash);
        }
        if let Some(next) = self.state.hash_at(height + 1) {
            json["nextblockhash"] = json!(next);
        }
        json
    }

    fn block(&self, params: &Params) -> Result<Value, RpcError> {
        let height = self.height_param(params)?;
        let block = self.state.block_at(height).ok_or_else(block_gone)?;
        match params.verbosity(1, 1) {
            0 => Ok(json!(serialize_hex(block))),
            1 => {
                let mut json = self.header_json(height, &block.header);
                let txids: Vec<Txid> = block.txdata.iter().map(Transaction::compute_txid).collect();
                json["tx"] = json!(txids);
                json["size"] = json!(block.total_size());
                json["weight"] = json!(block.weight().to_wu());
                Ok(json)
            }
            _ => Err(RpcError::new(RpcError::INVALID_PARAMETER, "verbosity must be 0 or 1")),
        }
    }

    fn raw_mempool(&self, params: &Params) -> Value {
        let entries = self.state.mempool.entries();
        if params.verbosity(0, 0) == 0 {
            return json!(entries.iter().map(|entry| entry.txid).collect::<Vec<_>>());
        }
        entries.iter().map(|entry| (entry.txid.to_string(), entry_json(entry))).collect()
    }

    fn mempool_entry(&self, params: &Params) -> Result<Value, RpcError> {
        let txid: Txid = params.parsed(0, "txid")?;
        let entry = self.state.mempool.get(&txid);
        entry.map(entry_json).ok_or_else(|| RpcError::not_found("Transaction not in mempool"))
    }

    fn mempool_info(&self) -> Value {
        let entries = self.state.mempool.entries();
        json!({
            "loaded": true,
            "size": entries.len(),
            "bytes": entries.iter().map(|entry| entry.tx.vsize()).sum::<usize>(),
            "mempoolminfee": RELAY_FEE_BTC_PER_KVB,
            "minrelaytxfee": RELAY_FEE_BTC_PER_KVB,
            "incrementalrelayfee": RELAY_FEE_BTC_PER_KVB,
            "fullrbf": false,
        })
    }

    fn raw_transaction(&self, params: &Params) -> Result<Value, RpcError> {
        let txid: Txid = params.parsed(0, "txid")?;
        let missing = || RpcError::not_found("No such mempool or blockchain transaction");
        let confirmed = self.state.block_of(&txid);
        let tx = match confirmed {
            Some((height, position)) => {
                self.state.block_at(height).and_then(|block| block.txdata.get(position))
            }
            None => self.state.mempool.get(&txid).map(|entry| &entry.tx),
        }
        .ok_or_else(missing)?;
        if params.verbosity(1, 0) == 0 {
            return Ok(json!(serialize_hex(tx)));
        }
        let mut json = json!({
            "txid": txid,
            "hash": tx.compute_wtxid(),
            "size": tx.total_size(),
            "vsize": tx.vsize(),
            "weight": tx.weight().to_wu(),
            "locktime": tx.lock_time.to_consensus_u32(),
            "version": tx.version.0,
            "hex": serialize_hex(tx),
        });
        if let Some((height, _)) = confirmed {
            json["blockhash"] = json!(self.state.hash_at(height));
            json["confirmations"] = json!(self.height() - height + 1);
            json["blocktime"] = json!(self.state.header_at(height).map(|header| header.time));
        }
        Ok(json)
    }

    fn tx_out(&self, params: &Params) -> Result<Value, RpcError> {
        let outpoint = OutPoint::new(params.parsed(0, "txid")?, params.number(1, "n")?);
        if params.verbosity(2, 1) == 1 {
            if self.state.mempool.spender(&outpoint).is_some() {
                return Ok(Value::Null);
            }
            let waiting = self.state.mempool.get(&outpoint.txid);
            if let Some(output) =
                waiting.and_then(|entry| entry.tx.output.get(outpoint.vout as usize))
            {
                return Ok(self.output_json(output, 0, false));
            }
        }
        Ok(self.state.coin(&outpoint).map_or(Value::Null, |coin| {
            self.output_json(&coin.output, self.height() - coin.height + 1, coin.coinbase)
        }))
    }

    fn output_json(&self, output: &bitcoin::TxOut, confirmations: u32, coinbase: bool) -> Value {
        json!({
            "bestblock": self.tip(),
            "confirmations": confirmations,
            "value": output.value.to_btc(),
            "scriptPubKey": { "hex": output.script_pubkey.to_hex_string() },
            "coinbase": coinbase,
        })
    }

    fn send(&mut self, params: &Params, now_secs: u64) -> Result<Value, RpcError> {
        let tx: Transaction = deserialize_hex(params.text(0, "hexstring")?).map_err(|error| {
            RpcError::new(RpcError::DECODE, format!("TX decode failed: {error}"))
        })?;
        match self.submit(tx, now_secs) {
            Ok(txid) => Ok(json!(txid)),
            Err(SubmitError::Refused(refusal)) => {
                tracing::debug!(%refusal, "a transaction was not taken");
                Err(RpcError::new(refusal.code(), refusal.to_string()))
            }
            Err(SubmitError::File(error)) => Err(RpcError::new(RpcError::MISC, error.to_string())),
        }
    }

    fn generate(&mut self, params: &Params, now_secs: u64) -> Result<Value, RpcError> {
        let count = params.number(0, "nblocks")?;
        let address: Address<NetworkUnchecked> = params
            .parsed(1, "address")
            .map_err(|_| RpcError::not_found("Error: Invalid address"))?;
        let address = address
            .require_network(Network::Regtest)
            .map_err(|_| RpcError::not_found("Error: This address is not for regtest"))?;
        let hashes = self.mine(count, &address.script_pubkey(), now_secs).map_err(|error| {
            let code = match error {
                ChainError::TooManyBlocks(_) => RpcError::INVALID_PARAMETER,
                _ => RpcError::MISC,
            };
            RpcError::new(code, error.to_string())
        })?;
        Ok(json!(hashes))
    }
}

fn block_gone() -> RpcError {
    RpcError::not_found("Block not found")
}

fn entry_json(entry: &Entry) -> Value {
    json!({
        "vsize": entry.tx.vsize(),
        "weight": entry.tx.weight().to_wu(),
        "time": entry.time_secs,
        "height": entry.height,
        "fees": { "base": entry.fee.to_btc() },
        "bip125-replaceable": false,
    })
}
