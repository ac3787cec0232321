//! The chain's rules, its file and its RPC, on real transactions.

use super::{mempool::Refusal, rules::TxRefusal, *};
use bitcoin::{
    Amount, Sequence, TxIn, TxOut, Witness,
    absolute::LockTime,
    consensus::encode::{serialize, serialize_hex},
    key::{Keypair, TapTweak},
    opcodes::all as op,
    script::Builder,
    secp256k1::{Message, Secp256k1, SecretKey},
    sighash::{Prevouts, SighashCache, TapSighashType},
    transaction::Version,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

const NOW: u64 = 1_800_000_000;
const COIN: Amount = Amount::from_sat(1_0000_0000);

struct Net {
    dir: TempDir,
    chain: Chain,
    treasury: Treasury,
}

impl Net {
    /// A chain with a few mature rewards.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let chain = Chain::open(&dir.path().join("chain")).unwrap();
        let treasury = Treasury::open(&dir.path().join("key")).unwrap();
        let mut net = Self { dir, chain, treasury };
        net.mine(105);
        net
    }

    fn mine(&mut self, count: u32) {
        self.chain.mine(count, self.treasury.script(), NOW).unwrap();
    }

    fn reopen(self) -> Self {
        let Self { dir, chain, treasury } = self;
        drop(chain);
        let chain = Chain::open(&dir.path().join("chain")).unwrap();
        Self { dir, chain, treasury }
    }

    /// Pays one coin to `script` and returns where it is.
    fn pay(&mut self, script: &ScriptBuf) -> OutPoint {
        let output = TxOut { value: COIN, script_pubkey: script.clone() };
        let txid = self.treasury.pay(&mut self.chain, vec![output], NOW).unwrap();
        OutPoint::new(txid, 0)
    }

    /// A confirmed coin of a script.
    fn confirmed(&mut self, script: &ScriptBuf) -> OutPoint {
        let outpoint = self.pay(script);
        self.mine(1);
        outpoint
    }

    fn submit(&mut self, tx: &Transaction) -> Result<Txid, Refusal> {
        match self.chain.submit(tx.clone(), NOW) {
            Ok(txid) => Ok(txid),
            Err(SubmitError::Refused(refusal)) => Err(refusal),
            Err(other) => panic!("{other}"),
        }
    }

    fn rpc(&mut self, method: &str, params: Value) -> Result<Value, RpcError> {
        let body = json!({ "method": method, "params": params, "id": 1 }).to_string();
        let Calls::One(request) = parse_requests(body.as_bytes()).unwrap() else { panic!("one") };
        self.chain.call(&request, NOW)
    }
}

/// Anyone can spend it, by an empty witness.
fn open_script() -> ScriptBuf {
    let inner = Builder::new().push_opcode(op::OP_PUSHNUM_1).into_script();
    inner.to_p2wsh()
}

fn spend(from: OutPoint, value: Amount) -> Transaction {
    let inner = Builder::new().push_opcode(op::OP_PUSHNUM_1).into_script();
    let txin = TxIn {
        previous_output: from,
        witness: Witness::from_slice(&[inner.to_bytes()]),
        sequence: Sequence::MAX,
        ..TxIn::default()
    };
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![txin],
        output: vec![TxOut { value, script_pubkey: open_script() }],
    }
}

const FEE: Amount = Amount::from_sat(1_000);

#[test]
fn pays_confirms_and_spends() {
    let mut net = Net::new();
    let at = net.confirmed(&open_script());
    let tx = spend(at, COIN - FEE);
    let txid = net.submit(&tx).unwrap();
    assert!(net.chain.is_in_mempool(&txid));
    net.mine(1);
    assert!(net.chain.is_confirmed(&txid) && !net.chain.is_in_mempool(&txid));
    assert_eq!(net.submit(&tx), Err(Refusal::AlreadyConfirmed));
}

#[test]
fn a_chain_of_waiting_transactions_confirms_in_one_block() {
    let mut net = Net::new();
    let first = net.pay(&open_script());
    let second = net.submit(&spend(first, COIN - FEE)).unwrap();
    let third = net.submit(&spend(OutPoint::new(second, 0), COIN - FEE - FEE)).unwrap();
    net.mine(1);
    for txid in [first.txid, second, third] {
        assert!(net.chain.is_confirmed(&txid));
    }
    assert!(net.chain.state.mempool.entries().is_empty());
}

#[test]
fn a_forged_signature_is_refused() {
    let mut net = Net::new();
    let outputs = vec![TxOut { value: COIN, script_pubkey: open_script() }];
    let mut elsewhere = Chain::open(&net.dir.path().join("other")).unwrap();
    elsewhere.mine(105, net.treasury.script(), NOW).unwrap();
    let txid = net.treasury.pay(&mut elsewhere, outputs, NOW).unwrap();
    let mut tx = elsewhere.state.mempool.get(&txid).unwrap().tx.clone();
    // The same coins exist on both chains, so only the signature can be wrong.
    tx.input[0].previous_output = net.chain.mature_coins(net.treasury.script())[0].0;
    let mut signature = tx.input[0].witness.to_vec();
    signature[0][10] ^= 1;
    tx.input[0].witness = Witness::from_slice(&signature);
    assert!(matches!(net.submit(&tx), Err(Refusal::Consensus(TxRefusal::Script { input: 0, .. }))));
}

#[test]
fn taproot_key_spends_are_verified() {
    let secp = Secp256k1::new();
    let key = Keypair::from_secret_key(&secp, &SecretKey::from_slice(&[7; 32]).unwrap());
    let script = ScriptBuf::new_p2tr(&secp, key.x_only_public_key().0, None);
    let mut net = Net::new();
    let at = net.confirmed(&script);
    let mut tx = spend(at, COIN - FEE);
    let prevout = TxOut { value: COIN, script_pubkey: script };
    let hash = SighashCache::new(&tx)
        .taproot_key_spend_signature_hash(0, &Prevouts::All(&[prevout]), TapSighashType::Default)
        .unwrap();
    let tweaked = key.tap_tweak(&secp, None).to_keypair();
    let signature = secp.sign_schnorr_no_aux_rand(&Message::from(hash), &tweaked);
    let mut forged = signature.serialize().to_vec();
    forged[3] ^= 1;
    tx.input[0].witness = Witness::from_slice(&[forged]);
    assert!(matches!(net.submit(&tx), Err(Refusal::Consensus(TxRefusal::Script { .. }))));
    tx.input[0].witness = Witness::from_slice(&[signature.serialize().to_vec()]);
    net.submit(&tx).unwrap();
}

#[test]
fn an_absolute_lock_opens_at_its_height() {
    let mut net = Net::new();
    let at = net.confirmed(&open_script());
    let mut tx = spend(at, COIN - FEE);
    let unlocks_at = net.chain.height() + 3;
    tx.lock_time = LockTime::from_height(unlocks_at).unwrap();
    tx.input[0].sequence = Sequence::ENABLE_LOCKTIME_NO_RBF;
    assert!(matches!(net.submit(&tx), Err(Refusal::Consensus(TxRefusal::NotFinal { .. }))));
    net.mine(2);
    assert!(matches!(net.submit(&tx), Err(Refusal::Consensus(TxRefusal::NotFinal { .. }))));
    net.mine(1);
    net.submit(&tx).unwrap();
}

#[test]
fn a_lock_by_time_opens_by_the_median_time() {
    let mut net = Net::new();
    let at = net.confirmed(&open_script());
    let mut tx = spend(at, COIN - FEE);
    let median = net.chain.state.median_time_past(net.chain.height());
    tx.lock_time = LockTime::from_time(median + 600).unwrap();
    tx.input[0].sequence = Sequence::ENABLE_LOCKTIME_NO_RBF;
    assert!(matches!(net.submit(&tx), Err(Refusal::Consensus(TxRefusal::NotFinal { .. }))));
    let script = net.treasury.script().clone();
    net.chain.mine(5, &script, NOW + 4_000).unwrap();
    assert!(net.submit(&tx).is_err(), "five of eleven blocks do not move the median far enough");
    net.chain.mine(2, &script, NOW + 4_000).unwrap();
    net.submit(&tx).unwrap();
}

/// `<n> CSV DROP 1`, and the witness that opens it.
fn csv(sequence: Sequence) -> (ScriptBuf, Witness) {
    let inner = Builder::new()
        .push_int(i64::from(sequence.to_consensus_u32()))
        .push_opcode(op::OP_CSV)
        .push_opcode(op::OP_DROP)
        .push_opcode(op::OP_PUSHNUM_1)
        .into_script();
    (inner.to_p2wsh(), Witness::from_slice(&[inner.to_bytes()]))
}

#[test]
fn a_relative_lock_opens_after_its_blocks() {
    let mut net = Net::new();
    let lock = Sequence::from_height(5);
    let (script, witness) = csv(lock);
    let at = net.confirmed(&script);
    let mut tx = spend(at, COIN - FEE);
    tx.input[0].witness = witness;
    assert!(
        matches!(net.submit(&tx), Err(Refusal::Consensus(TxRefusal::Script { .. }))),
        "a final sequence does not meet CSV (BIP112)"
    );
    tx.input[0].sequence = lock;
    for _ in 0..4 {
        assert!(matches!(
            net.submit(&tx),
            Err(Refusal::Consensus(TxRefusal::SequenceLocked { input: 0 }))
        ));
        net.mine(1);
    }
    net.submit(&tx).unwrap();
}

#[test]
fn a_relative_lock_by_time_opens_by_the_median_time() {
    let mut net = Net::new();
    let lock = Sequence::from_512_second_intervals(2);
    let (script, witness) = csv(lock);
    let at = net.confirmed(&script);
    let mut tx = spend(at, COIN - FEE);
    tx.input[0].witness = witness;
    tx.input[0].sequence = lock;
    let locked = Err(Refusal::Consensus(TxRefusal::SequenceLocked { input: 0 }));
    assert_eq!(net.submit(&tx), locked);
    let script = net.treasury.script().clone();
    net.chain.mine(8, &script, NOW + 900).unwrap();
    assert_eq!(net.submit(&tx), locked);
    net.chain.mine(8, &script, NOW + 2_000).unwrap();
    net.submit(&tx).unwrap();
}

#[test]
fn a_locked_spend_of_a_waiting_coin_waits_too() {
    let mut net = Net::new();
    let lock = Sequence::from_height(1);
    let (script, witness) = csv(lock);
    let at = net.pay(&script);
    let mut tx = spend(at, COIN - FEE);
    tx.input[0].witness = witness;
    tx.input[0].sequence = lock;
    assert!(net.submit(&tx).is_err());
    net.mine(1);
    net.submit(&tx).unwrap();
}

#[test]
fn conflicts_double_spends_and_bad_values_are_refused() {
    let mut net = Net::new();
    let at = net.confirmed(&open_script());
    let more = spend(at, COIN + FEE);
    assert!(matches!(
        net.submit(&more),
        Err(Refusal::Consensus(TxRefusal::SpendsMoreThanItHas { .. }))
    ));
    assert!(matches!(net.submit(&spend(at, COIN)), Err(Refusal::FeeTooLow { .. })));
    let mut twice = spend(at, COIN - FEE);
    twice.input.push(twice.input[0].clone());
    assert_eq!(net.submit(&twice), Err(Refusal::Consensus(TxRefusal::SameInputTwice)));
    let first = net.submit(&spend(at, COIN - FEE)).unwrap();
    let bump = spend(at, COIN - FEE - FEE);
    match net.submit(&bump) {
        Err(refusal @ Refusal::Conflict { .. }) => {
            assert_eq!(refusal.code(), -26);
            assert!(refusal.to_string().contains(&first.to_string()), "{refusal}");
        }
        other => panic!("{other:?}"),
    }
    net.mine(1);
    match net.submit(&bump) {
        Err(refusal) => assert_eq!(refusal.code(), -25, "{refusal}"),
        Ok(_) => panic!("a spent coin was spent again"),
    }
}

#[test]
fn young_rewards_cannot_be_spent() {
    let mut net = Net::new();
    net.chain.mine(1, &open_script(), NOW).unwrap();
    let block = net.chain.state.block_at(net.chain.height()).unwrap();
    let reward = OutPoint::new(block.txdata[0].compute_txid(), 0);
    let tx = spend(reward, COIN);
    assert!(matches!(net.submit(&tx), Err(Refusal::Consensus(TxRefusal::Immature { .. }))));
    net.mine(98);
    assert!(net.submit(&tx).is_err());
    net.mine(1);
    net.submit(&tx).unwrap();
}

#[test]
fn blocks_and_waiting_transactions_survive_a_restart() {
    let mut net = Net::new();
    let at = net.confirmed(&open_script());
    let waiting = net.submit(&spend(at, COIN - FEE)).unwrap();
    let (height, tip) = (net.chain.height(), net.chain.tip());
    let time = net.chain.state.mempool.get(&waiting).unwrap().time_secs;
    let mut net = net.reopen();
    assert_eq!((net.chain.height(), net.chain.tip()), (height, tip));
    assert_eq!(net.chain.state.mempool.get(&waiting).unwrap().time_secs, time);
    net.mine(1);
    let net = net.reopen();
    assert!(net.chain.is_confirmed(&waiting) && !net.chain.is_in_mempool(&waiting));
    assert_eq!(net.chain.height(), height + 1);
}

#[test]
fn a_torn_block_is_cut_and_the_rest_stays() {
    let mut net = Net::new();
    let (height, tip) = (net.chain.height(), net.chain.tip());
    net.mine(1);
    let path = net.dir.path().join("chain");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 7]).unwrap();
    let mut net = net.reopen();
    assert_eq!((net.chain.height(), net.chain.tip()), (height, tip));
    net.mine(3);
    assert_eq!(net.reopen().chain.height(), height + 3);
}

#[test]
fn a_block_that_breaks_a_rule_is_refused() {
    let net = Net::new();
    let good = miner::build(&net.chain.state, &open_script(), NOW);
    net.chain.state.check_block(&good, rules::Scripts::Verify).unwrap();
    let mut greedy = good.clone();
    greedy.txdata[0].output[0].value += Amount::ONE_SAT;
    greedy.header.merkle_root = greedy.compute_merkle_root().unwrap();
    while greedy.header.validate_pow(greedy.header.target()).is_err() {
        greedy.header.nonce += 1;
    }
    let refusal = net.chain.state.check_block(&greedy, rules::Scripts::Verify);
    assert!(matches!(refusal, Err(rules::BlockRefusal::TakesTooMuch { .. })), "{refusal:?}");
    let mut elsewhere = good;
    elsewhere.header.prev_blockhash = net.chain.state.hash_at(3).unwrap();
    let refusal = net.chain.state.check_block(&elsewhere, rules::Scripts::Verify);
    assert!(matches!(refusal, Err(rules::BlockRefusal::NotOnTip(_))), "{refusal:?}");
}

#[test]
fn subsidies_halve() {
    assert_eq!(rules::subsidy(149), Amount::from_sat(50_0000_0000));
    assert_eq!(rules::subsidy(150), Amount::from_sat(25_0000_0000));
    assert_eq!(rules::subsidy(150 * 64), Amount::ZERO);
    assert_eq!(rules::subsidy(u32::MAX), Amount::ZERO);
}

#[test]
fn waiting_times_never_repeat() {
    let mut net = Net::new();
    let first = net.pay(&open_script());
    let second = net.pay(&open_script());
    let time = |txid| net.chain.state.mempool.get(txid).unwrap().time_secs;
    assert!(time(&first.txid) < time(&second.txid));
}

#[test]
fn the_rpc_answers_as_bitcoind_does() {
    let mut net = Net::new();
    let at = net.confirmed(&open_script());
    let tip = net.chain.tip().to_string();
    let height = net.chain.height();
    let info = net.rpc("getblockchaininfo", json!([])).unwrap();
    assert_eq!((&info["chain"], &info["blocks"]), (&json!("regtest"), &json!(height)));
    assert_eq!(info["bestblockhash"], json!(tip));
    let header = net.rpc("getblockheader", json!([tip])).unwrap();
    assert_eq!((&header["height"], &header["bits"]), (&json!(height), &json!("207fffff")));
    let genesis = net.rpc("getblockhash", json!([0])).unwrap();
    let header = net.rpc("getblockheader", json!([genesis])).unwrap();
    assert!(header.get("previousblockhash").is_none());
    let block = net.rpc("getblock", json!([tip, 0])).unwrap();
    let stored = serialize(net.chain.state.block_at(height).unwrap());
    assert_eq!(block, json!(hex::encode(stored)));
    let out = net.rpc("gettxout", json!([at.txid, 0, false])).unwrap();
    assert_eq!((&out["value"], &out["confirmations"]), (&json!(1.0), &json!(1)));
    let tx = spend(at, COIN - FEE);
    let txid = net.rpc("sendrawtransaction", json!([serialize_hex(&tx)])).unwrap();
    assert_eq!(net.rpc("getrawmempool", json!([false])).unwrap(), json!([txid]));
    assert!(net.rpc("getmempoolentry", json!([txid])).unwrap()["time"].is_u64());
    assert_eq!(net.rpc("gettxout", json!([at.txid, 0, true])).unwrap(), Value::Null);
    assert_eq!(net.rpc("getrawtransaction", json!([txid])).unwrap(), json!(serialize_hex(&tx)));
}

#[test]
fn the_rpc_refuses_with_bitcoinds_codes() {
    let mut net = Net::new();
    let nothing = "00".repeat(32);
    let code = |net: &mut Net, method: &str, params| net.rpc(method, params).unwrap_err().code;
    assert_eq!(code(&mut net, "getblock", json!([nothing])), -5);
    assert_eq!(code(&mut net, "getblockheader", json!([nothing])), -5);
    assert_eq!(code(&mut net, "getmempoolentry", json!([nothing])), -5);
    assert_eq!(code(&mut net, "getrawtransaction", json!([nothing])), -5);
    assert_eq!(code(&mut net, "getblockhash", json!([100_000])), -8);
    assert_eq!(code(&mut net, "getblockhash", json!(["x"])), -3);
    assert_eq!(code(&mut net, "sendrawtransaction", json!(["zz"])), -22);
    assert_eq!(code(&mut net, "generatetoaddress", json!([1, "nowhere"])), -5);
    let mainnet = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";
    assert_eq!(code(&mut net, "generatetoaddress", json!([1, mainnet])), -5);
    assert_eq!(code(&mut net, "stop", json!([])), -32601);
    assert_eq!(parse_requests(b"{").unwrap_err().code, -32700);
    assert_eq!(parse_requests(b"[]").unwrap_err().code, -32600);
    assert_eq!(parse_requests(b"{\"id\":1}").unwrap_err().code, -32600);
    assert_eq!(parse_requests(b"{\"method\":\"x\",\"params\":{}}").unwrap_err().code, -32600);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "[0-9a-f]{0,70}".prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..3)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn any_method() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "getblockhash",
        "getblockheader",
        "getblock",
        "getrawmempool",
        "getmempoolentry",
        "getrawtransaction",
        "gettxout",
        "sendrawtransaction",
        "generatetoaddress",
        "nothing",
    ])
}

proptest! {
    #[test]
    fn any_request_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _never_panics = parse_requests(&bytes);
    }

    #[test]
    fn any_call_is_answered_or_refused(
        method in any_method(),
        params in prop::collection::vec(any_json(), 0..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut chain = Chain::open(&dir.path().join("chain")).unwrap();
        let request = RpcRequest { method: method.into(), params: params.into(), id: Value::Null };
        if let Err(error) = chain.call(&request, NOW) {
            prop_assert!(error.code < 0 && !error.message.is_empty());
        }
    }
}
