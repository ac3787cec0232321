//! The words of NIP-47, as the NIP and other wallets write them.

use super::*;
use proptest::prelude::*;

#[test]
fn reads_the_requests_of_the_nip() {
    let read = |text: &str| Call::read(text).unwrap();
    assert_eq!(
        read(
            r#"{"method":"pay_invoice","params":{"invoice":"lnbc50n1","amount":123,"metadata":{"comment":"x"}}}"#
        ),
        Call::PayInvoice(Order {
            id: None,
            invoice: "lnbc50n1".into(),
            amount: Some(Msat::new(123).unwrap()),
        })
    );
    let Call::MultiPayInvoice(orders) = read(
        r#"{"method":"multi_pay_invoice","params":{"invoices":[{"id":"4da52c32a1","invoice":"lnbc1","amount":123},{"invoice":"lnbc50n1"}]}}"#,
    ) else {
        panic!("not orders")
    };
    assert_eq!((orders.len(), orders[0].id.as_deref()), (2, Some("4da52c32a1")));
    assert_eq!(
        read(
            r#"{"method":"list_transactions","params":{"from":1,"until":2,"limit":10,"offset":0,"unpaid":true,"type":"incoming"}}"#
        ),
        Call::ListTransactions(Listing {
            from: Some(1),
            until: Some(2),
            limit: Some(10),
            offset: Some(0),
            unpaid: Some(true),
            flow: Some(Flow::Incoming),
        })
    );
    assert_eq!(
        read(r#"{"method":"list_transactions"}"#),
        Call::ListTransactions(Listing::default())
    );
    assert_eq!(read(r#"{"method":"get_balance","params":{}}"#), Call::GetBalance);
    assert_eq!(read(r#"{"method":"get_info"}"#), Call::GetInfo);
    assert_eq!(
        read(r#"{"method":"lookup_invoice","params":{"payment_hash":"","invoice":"lnbc1"}}"#),
        Call::LookupInvoice(Lookup { payment_hash: None, invoice: Some("lnbc1".into()) })
    );
}

#[test]
fn refuses_what_it_can_not_hold_to() {
    let long = "x".repeat(9_000);
    for (bad, code) in [
        ("", Code::Other),
        ("[]", Code::Other),
        (r#"{"params":{}}"#, Code::Other),
        (r#"{"method":"make_hold_invoice","params":{}}"#, Code::NotImplemented),
        (r#"{"method":"pay_invoice"}"#, Code::Other),
        (r#"{"method":"pay_invoice","params":{"invoice":1}}"#, Code::Other),
        (r#"{"method":"pay_invoice","params":{"invoice":"a","amount":-1}}"#, Code::Other),
        (r#"{"method":"pay_invoice","params":{"invoice":"a","amount":1.5}}"#, Code::Other),
        (
            r#"{"method":"pay_invoice","params":{"invoice":"a","amount":9007199254740992}}"#,
            Code::Other,
        ),
        (r#"{"method":"multi_pay_invoice","params":{"invoices":[]}}"#, Code::Other),
        (
            r#"{"method":"multi_pay_invoice","params":{"invoices":[{"id":"a b","invoice":"x"}]}}"#,
            Code::Other,
        ),
        (r#"{"method":"lookup_invoice","params":{}}"#, Code::Other),
        (&format!(r#"{{"method":"pay_invoice","params":{{"invoice":"{long}"}}}}"#), Code::Other),
        (&format!(r#"{{"method":"sign_message","params":{{"message":"{long}"}}}}"#), Code::Other),
    ] {
        assert_eq!(Call::read(bad).unwrap_err().why.code, code, "{bad}");
    }
    let odd = Call::read("{\"method\":\"a\\u0007\\u202eb\"}").unwrap_err();
    assert_eq!(odd.method, "ab");
}

#[test]
fn reads_what_wallets_answer() {
    let preimage = "01".repeat(32);
    let text = format!(r#"{{"result_type":"pay_invoice","result":{{"preimage":"{preimage}"}}}}"#);
    let paid: Paid = Answer::read(&text).unwrap().result().unwrap().unwrap();
    assert_eq!((paid.preimage.to_string(), paid.fees_paid), (preimage, Msat::ZERO));
    let refused = Answer::read(
        r#"{"result_type":"pay_invoice","error":{"code":"QUOTA_EXCEEDED","message":"no\nmore"},"result":null}"#,
    );
    let why = refused.unwrap().outcome.unwrap_err();
    assert_eq!((why.code, why.message.as_str()), (Code::QuotaExceeded, "nomore"));
    let odd = Answer::read(r#"{"result_type":"get_info","error":{"code":"TEAPOT"}}"#).unwrap();
    assert_eq!(odd.outcome.unwrap_err().code, Code::Other);
    for bad in ["{}", r#"{"result_type":"x"}"#, r#"{"result_type":"x","result":null}"#, "7"] {
        assert!(Answer::read(bad).is_err(), "{bad}");
    }
}

/// What Alby's hub, CoinOS and older services leave empty, null or out.
#[test]
fn reads_transactions_of_different_wallets() {
    let read = |text: &str| serde_json::from_str::<Transaction>(text).unwrap();
    let settled = read(
        r#"{"type":"incoming","state":"settled","invoice":"","description":null,"preimage":"","payment_hash":"0202020202020202020202020202020202020202020202020202020202020202","amount":5,"fees_paid":null,"created_at":7,"expires_at":null,"settled_at":9,"metadata":{}}"#,
    );
    assert!(settled.is_settled());
    assert_eq!((settled.invoice, settled.preimage, settled.fees_paid), (None, None, Msat::ZERO));
    let old = read(r#"{"type":"incoming","amount":5,"created_at":7,"settled_at":0}"#);
    assert!(!old.is_settled());
    assert!(!read(r#"{"type":"outgoing","state":"pending","settled_at":9}"#).is_settled());
    assert!(!read(r#"{"type":"incoming","preimage":"0101010101010101010101010101010101010101010101010101010101010101"}"#).is_settled());
    assert_eq!(read(r#"{"type":"outgoing","state":"unheard of"}"#).state, None);
    for bad in [r#"{"type":"sideways"}"#, r#"{"type":"incoming","amount":1.5}"#] {
        assert!(serde_json::from_str::<Transaction>(bad).is_err(), "{bad}");
    }
}

fn order() -> impl Strategy<Value = Order> {
    let amount = prop::option::of((0_u64..1 << 53).prop_map(|msat| Msat::new(msat).unwrap()));
    (prop::option::of("[A-Za-z0-9._-]{1,64}"), ".{0,80}", amount)
        .prop_map(|(id, invoice, amount)| Order { id, invoice, amount })
}

fn call() -> impl Strategy<Value = Call> {
    let opt = || prop::option::of(any::<u64>());
    let listing = (opt(), opt(), opt(), opt(), prop::option::of(any::<bool>())).prop_map(
        |(from, until, limit, offset, unpaid)| {
            Call::ListTransactions(Listing {
                from,
                until,
                limit,
                offset,
                unpaid,
                flow: Some(Flow::Outgoing),
            })
        },
    );
    let lookup = (prop::array::uniform32(any::<u8>()), prop::option::of(".{1,80}")).prop_map(
        |(hash, invoice)| {
            Call::LookupInvoice(Lookup { payment_hash: Some(PaymentHash(hash)), invoice })
        },
    );
    let wish = (0_u64..1 << 53, prop::option::of(".{0,80}"), opt()).prop_map(
        |(msat, description, expiry)| {
            let amount = Msat::new(msat).unwrap();
            Call::MakeInvoice(Wish { amount, description, description_hash: None, expiry })
        },
    );
    prop_oneof![
        order().prop_map(Call::PayInvoice),
        prop::collection::vec(order(), 1..5).prop_map(Call::MultiPayInvoice),
        listing,
        lookup,
        wish,
        ".{0,80}".prop_map(Call::SignMessage),
        Just(Call::PayKeysend),
        Just(Call::GetBalance),
        Just(Call::GetInfo),
        Just(Call::GetBudget),
    ]
}

proptest! {
    #[test]
    fn a_request_is_read_as_it_was_written(call in call()) {
        prop_assert_eq!(Call::read(&call.to_json()), Ok(call));
    }

    #[test]
    fn an_answer_is_read_as_it_was_written(
        msat in 0_u64..1 << 53,
        code in 0..Code::ALL.len(),
        message in "[ -~]{0,200}",
    ) {
        let balance = BalanceResult { balance: Msat::new(msat).unwrap() };
        let answer = Answer::ok(Method::GetBalance, &balance);
        let read = Answer::read(&answer.to_json()).unwrap();
        prop_assert_eq!(&read, &answer);
        prop_assert_eq!(read.result::<BalanceResult>().unwrap(), Ok(balance));
        let refused = Answer::refused("pay_invoice", Refusal::new(Code::ALL[code], message));
        prop_assert_eq!(Answer::read(&refused.to_json()), Ok(refused));
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,300}", json in "[\\[\\]{}\":,a-z_0-9.]{0,120}") {
        for text in [text, json] {
            let _ = (Call::read(&text), Answer::read(&text), Notification::read(&text));
            let wrapped = format!(r#"{{"method":"pay_invoice","params":{text}}}"#);
            let _ = Call::read(&wrapped);
            let wrapped = format!(r#"{{"notification_type":"payment_sent","notification":{text}}}"#);
            let _ = Notification::read(&wrapped);
            let wrapped = format!(r#"{{"result_type":"list_transactions","result":{text}}}"#);
            if let Ok(answer) = Answer::read(&wrapped) {
                let _ = answer.result::<Transactions>();
            }
        }
    }
}
