//! `bitcoin:` and `spark:` links: their amounts, their other ways, and what they must not say.

use domain::{Msat, Network, Timestamp};
use lightning_invoice::Currency;

use super::support::{NOW_SECS, code, invoice, key, offer, read, spark_address};
use crate::payable::{Kind, Payable};

const ADDRESS: &str = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";
const SILENT: &str = "sp1qqweplq6ylpfrzuq6hfznzmv28djsraupudz0s0dclyt8erh70pgwxqkz2ydatksrdzf770umsntsmcjp4kcz7jqu03jeszh0gdmpjzmrf5u4zh0c";

#[test]
fn amounts_are_exact_and_never_floats() {
    for (text, msat) in [
        ("20.3", 2_030_000_000_000),
        ("0.00000001", 1_000),
        (".5", 50_000_000_000),
        ("1.", 100_000_000_000),
        ("00.10000000", 10_000_000_000),
        ("90071.99254740", 9_007_199_254_740_000),
    ] {
        let found = read(&format!("bitcoin:{ADDRESS}?amount={text}")).unwrap();
        assert_eq!(found.amount_msat.map(Msat::get), Some(msat), "{text}");
    }
    for bad in [
        "",
        ".",
        "0",
        "0.00000000",
        "-1",
        "+1",
        "1e3",
        "1,5",
        "0.000000001",
        "1 000",
        "1BTC",
        "NaN",
        "90071.99254741",
        "21000000",
        "99999999999999999999",
        "0x10",
        "１",
    ] {
        let link = format!("bitcoin:{ADDRESS}?amount={bad}");
        assert_eq!(code(read(&link)), "bad_amount", "{bad}");
    }
}

#[test]
fn ways_come_in_order_of_preference() {
    let asked = Some(Msat::from_sat(50_000));
    let bolt11 = invoice(Currency::Bitcoin, asked, "Donation", false);
    let bolt12 = offer(&[(22, &key(5).serialize())]);
    let spark = spark_address("spark", 6);
    let link = format!(
        "BITCOIN:{}?amount=0.0005&label=Luke%2DJr&message=Donation%20for%20project%20xyz&lno={}\
         &spark={spark}&LIGHTNING={}&sp={SILENT}&other=1",
        ADDRESS.to_uppercase(),
        bolt12.to_uppercase(),
        bolt11.to_uppercase(),
    );
    let found = read(&link).unwrap();
    let kinds: Vec<_> = found.ways().map(|way| way.kind).collect();
    assert_eq!(kinds, [Kind::Bolt11, Kind::Bolt12, Kind::SparkAddress, Kind::Onchain]);
    for way in found.ways() {
        assert_eq!(way.amount_msat, asked, "{:?}", way.kind);
        assert_eq!(way.claims.as_deref(), Some("Luke-Jr"));
        let memo = if way.kind == Kind::Bolt11 { "Donation" } else { "Donation for project xyz" };
        assert_eq!(way.memo, memo);
        assert_eq!(read(&way.text).unwrap().payee, way.payee);
    }

    let (now, late) = (Timestamp::from_secs(NOW_SECS), Timestamp::from_secs(NOW_SECS + 3_600));
    let chosen = |at, kinds: &[Kind]| {
        found.choose(at, |kind| kinds.contains(&kind)).map(|way| way.kind).map_err(|e| e.code())
    };
    assert_eq!(chosen(now, &[Kind::Onchain, Kind::Bolt11, Kind::SparkAddress]), Ok(Kind::Bolt11));
    assert_eq!(chosen(late, &[Kind::Onchain, Kind::Bolt11]), Ok(Kind::Onchain));
    assert_eq!(chosen(late, &[Kind::Bolt11]), Err("expired"));
    assert_eq!(chosen(now, &[Kind::SparkInvoice]), Err("unsupported_request"));
}

#[test]
fn a_link_needs_no_address_but_a_way() {
    let bolt12 = offer(&[(22, &key(5).serialize())]);
    assert_eq!(read(&format!("bitcoin:?lno={bolt12}")).unwrap().kind, Kind::Bolt12);
    assert_eq!(read("bitcoin:?lightning=alice@example.com").unwrap().kind, Kind::LightningAddress);
    assert_eq!(read(&format!("bitcoin:?bc={ADDRESS}")).unwrap().kind, Kind::Onchain);
    assert_eq!(read(&format!("bitcoin:{ADDRESS}?sp={SILENT}")).unwrap().fallbacks, []);
    let spark = spark_address("sp", 6);
    let found = read(&format!("bitcoin:{ADDRESS}?sp={spark}")).unwrap();
    assert_eq!((found.kind, found.text), (Kind::SparkAddress, spark_address("spark", 6)));
    for none in ["bitcoin:", "bitcoin:?amount=1", &format!("bitcoin:?sp={SILENT}"), "bitcoin:hello"]
    {
        assert_eq!(code(read(none)), "bad_request", "{none}");
    }
}

#[test]
fn links_that_contradict_themselves_or_need_more_are_refused() {
    let other = invoice(Currency::Bitcoin, Some(Msat::from_sat(1)), "Tea", false);
    let regtest = invoice(Currency::Regtest, Some(Msat::from_sat(1)), "Tea", false);
    for (query, expected) in [
        (format!("amount=1&lightning={other}"), "contradiction"),
        (format!("lightning={other}"), "contradiction"),
        ("amount=1&amount=1".to_owned(), "contradiction"),
        ("req-somethingyoudontunderstand=50".to_owned(), "unsupported_request"),
        (format!("lightning={regtest}"), "wrong_network"),
        ("lightning=lnbc1hello".to_owned(), "bad_invoice"),
        ("lightning=hello".to_owned(), "bad_request"),
        ("lno=lno1hello".to_owned(), "bad_request"),
        (format!("spark={ADDRESS}"), "bad_request"),
        ("label=%zz".to_owned(), "bad_request"),
        ("label=%ff".to_owned(), "bad_request"),
        ("label=%4".to_owned(), "bad_request"),
        ("lightning=a@example.com&".repeat(9), "bad_request"),
    ] {
        assert_eq!(code(read(&format!("bitcoin:{ADDRESS}?{query}"))), expected, "{query}");
    }
    // What is required and known is no more than known.
    assert!(read(&format!("bitcoin:{ADDRESS}?req-amount=1&unknown=50")).is_ok());
    assert_eq!(
        code(Payable::read(&format!("bitcoin:{ADDRESS}"), Network::Practice)),
        "wrong_network"
    );
}

#[test]
fn spark_links() {
    let spark = spark_address("spark", 6);
    let found = read(&format!("SPARK:{spark}?amount=0.00001&message=Hi%0athere")).unwrap();
    assert_eq!((found.kind, &found.text), (Kind::SparkAddress, &spark));
    assert_eq!((found.amount_msat, found.memo.as_str()), (Some(Msat::from_sat(1_000)), "Hithere"));
    assert_eq!(code(read(&format!("spark:{ADDRESS}"))), "bad_request");
}
