//! Spark: text that its own SDK made, what is signed, and what must not be paid.

use domain::{Msat, Network, Timestamp};

use super::support::{SparkFields, code, key, read, spark_address, spark_invoice};
use crate::payable::{Kind, Payable};

/// From the tests of the Breez SDK, whose regtest made them.
const ADDRESS: &str = "sparkrt1pgssyuuuhnrrdjswal5c3s3rafw9w3y5dd4cjy3duxlf7hjzkp0rqx6dc0nltx";
const FIRST_ADDRESS: &str = "sprt1pgssyuuuhnrrdjswal5c3s3rafw9w3y5dd4cjy3duxlf7hjzkp0rqx6dj6mrhu";
const SATS: &str = "sparkrt1pgss8cf4gru7ece2ryn8ym3vm3yz8leeend2589m7svq2mgv0xncfyx8zf8ssqgjzqqe5pmwfwyh9u4u6wgrepzk7j6j5prdv4kk7v3pqdur4y4c5nlcyr7lksm4mhrhdzakas9yt8gz4levtnfe49sgkqknywstpzxd8hk8qcgvp7x22q3qxz8gqudyp7rmuglc2axjqnlzz7d047gndmxff6ud02fvdgasdsq2en2aah6g52rq4qq7peler4s4d85s7prhm6sqzqj7gvc9nlzucy4yfh206fyqpk9zez";
const BARE: &str = "sparkrt1pgss8cf4gru7ece2ryn8ym3vm3yz8leeend2589m7svq2mgv0xncfyx8zgvssqgjzqqe5p0mj9v8j69ygjsh67m8t2jjyqcgaqr35sx0qparn2k6s24kgnzh3v2mqapzryhgfy27ye9c58mlz2lggmenf8tae4323jgv7s2ldglsu990t8fugefeqk4rzstc98rly7yt0gmnq95dwk2";
const TOKEN: &str = "sparkrt1pgss8cf4gru7ece2ryn8ym3vm3yz8leeend2589m7svq2mgv0xncfyx8zfeqsqgjzqqe5pmtue38y3avl89vac53nkzj5prdv4kk7v3pqdur4y4c5nlcyr7lksm4mhrhdzakas9yt8gz4levtnfe49sgkqknywstprharhk8qcgvpz8vtudzvz3q5xy2yxnpacs2yl00fnajxylsljq9y0uesr6qylyxq2lxnum8r63pyqsraqdyp57uf363avdlv59eqjfdszpwc2y3zfpww2cevcx92zw40qxf5fedvrlmnrmsg7pa3egggtw03kd0rz73lvgl5u3c02krhhcwc3haec4q2e582x";

fn regtest(text: &str) -> Result<Payable, crate::payable::PayableError> {
    Payable::read(text, Network::Regtest)
}

#[test]
fn what_the_sdk_makes() {
    let found = regtest(&ADDRESS.to_uppercase()).unwrap();
    assert_eq!((found.kind, found.text.as_str()), (Kind::SparkAddress, ADDRESS));
    assert_eq!((found.payee.as_str(), found.amount_msat), (ADDRESS, None));
    assert_eq!(regtest(FIRST_ADDRESS).unwrap().text, ADDRESS, "one spelling");

    let found = regtest(&format!("spark:{SATS}")).unwrap();
    assert_eq!((found.kind, found.text.as_str()), (Kind::SparkInvoice, SATS));
    assert_eq!(found.amount_msat, Some(Msat::from_sat(1_000)));
    assert_eq!(found.expires_at, Some(Timestamp::from_secs(1_761_061_260)));
    assert_eq!(found.memo, "memo");
    assert_eq!(regtest(&found.payee).unwrap().kind, Kind::SparkAddress);

    assert_eq!(code(regtest(TOKEN)), "unsupported_request");
    let found = regtest(BARE).unwrap();
    assert_eq!((found.amount_msat, found.expires_at), (Some(Msat::from_sat(1_000)), None));
}

#[test]
fn each_network_has_its_prefix() {
    for text in [ADDRESS, SATS, FIRST_ADDRESS] {
        assert_eq!(code(read(text)), "wrong_network");
        assert_eq!(code(Payable::read(text, Network::Practice)), "wrong_network");
    }
    assert!(read(&spark_address("spark", 3)).is_ok());
    assert!(read(&spark_address("sp", 3)).is_ok());
    assert!(Payable::read(&spark_address("sparks", 3), Network::Signet).is_ok());
    for hrp in ["sparkt", "spt", "spl", "sparkl", "sps"] {
        assert_eq!(code(read(&spark_address(hrp, 3))), "wrong_network", "{hrp}");
    }
    assert_eq!(code(read(&spark_address("sparkx", 3))), "bad_request");
}

#[test]
fn an_invoice_holds_only_as_it_was_signed() {
    let fields = SparkFields {
        sats: Some(21),
        memo: Some("Tea".to_owned()),
        expiry_secs: Some(1_800_000_000),
    };
    let found = read(&spark_invoice(3, &fields, &fields)).unwrap();
    assert_eq!((found.amount_msat, found.memo.as_str()), (Some(Msat::from_sat(21)), "Tea"));
    assert_eq!(found.payee, spark_address("spark", 3));
    assert_ne!(found.payee, key(3).to_string());
    let open = SparkFields::default();
    assert_eq!(read(&spark_invoice(3, &open, &open)).unwrap().amount_msat, None);
    for spoilt in [
        SparkFields { sats: Some(22), ..fields.clone() },
        SparkFields { memo: None, ..fields.clone() },
        SparkFields { expiry_secs: None, ..fields.clone() },
        SparkFields { memo: Some("Coffee".to_owned()), ..fields.clone() },
    ] {
        assert_eq!(code(read(&spark_invoice(3, &spoilt, &fields))), "bad_request", "{spoilt:?}");
    }
    let huge = SparkFields { sats: Some(u64::MAX), ..fields };
    assert_eq!(code(read(&spark_invoice(3, &huge, &huge))), "bad_amount");
}

#[test]
fn a_silent_payment_address_is_no_spark_address() {
    let silent = "sp1qqweplq6ylpfrzuq6hfznzmv28djsraupudz0s0dclyt8erh70pgwxqkz2ydatksrdzf770umsntsmcjp4kcz7jqu03jeszh0gdmpjzmrf5u4zh0c";
    assert_eq!(code(read(silent)), "unsupported_request");
}
