//! Making, opening, restoring and backing up, with a keychain of the test's own.

use super::*;
use std::{cell::RefCell, collections::HashMap, fs};

#[derive(Default)]
struct FakeKeychain {
    entries: RefCell<HashMap<String, String>>,
    absent: bool,
    locked: bool,
}

impl Keychain for FakeKeychain {
    fn is_present(&self) -> bool {
        !self.absent
    }
    fn put(&self, entry: &str, secret: &str) -> Result<(), String> {
        if self.locked {
            return Err("it is locked".into());
        }
        self.entries.borrow_mut().insert(entry.into(), secret.into());
        Ok(())
    }
    fn get(&self, entry: &str) -> Result<Zeroizing<String>, String> {
        let entries = self.entries.borrow();
        entries.get(entry).cloned().map(Zeroizing::new).ok_or_else(|| "no such entry".into())
    }
    fn remove(&self, entry: &str) -> Result<(), String> {
        if self.locked {
            return Err("it is locked".into());
        }
        self.entries.borrow_mut().remove(entry).map(drop).ok_or_else(|| "no such entry".into())
    }
}

fn given(text: &str) -> PassphraseSource {
    PassphraseSource::Given(Zeroizing::new(text.into()))
}

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    entries.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}

#[test]
fn practice_opens_by_itself_and_says_how() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("vault");
    let made = Vault::create(&dir, Network::Practice, PassphraseSource::Generate).unwrap();
    assert_eq!(made.vault.kept_in(), Kept::FileWithPassphraseBeside);
    assert_eq!(made.passphrase.unwrap().len(), 39);
    assert!(!made.vault.is_backed_up());
    let vault = Vault::open(&dir, Network::Practice, PassphraseSource::Generate).unwrap();
    assert_eq!(vault.pubkey(), made.vault.pubkey());
    assert_eq!(*vault.body_key(), *made.vault.body_key());
    let other = Vault::open(&dir, Network::Mainnet, PassphraseSource::Generate);
    assert!(matches!(other, Err(VaultError::OtherNetwork { .. })));
    let again = Vault::create(&dir, Network::Practice, PassphraseSource::Generate);
    assert!(matches!(again, Err(VaultError::Exists(_))));
    #[cfg(unix)]
    for name in [RECORD, SEALED, BESIDE] {
        let mode = fs::metadata(dir.join(name)).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
    }
}

#[test]
fn a_passphrase_file_opens_only_with_it_and_holds_no_plain_word() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("vault");
    let made = Vault::create(&dir, Network::Signet, given("correct horse")).unwrap();
    assert_eq!(made.vault.kept_in(), Kept::FileWithPassphrase);
    assert!(made.passphrase.is_none());
    let words = made.vault.words();
    for (name, bytes) in files(&dir) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("correct horse"), "{name}");
        assert!(!text.contains(words.as_str()), "{name}");
    }
    let open = |source| Vault::open(&dir, Network::Signet, source);
    assert_eq!(open(given("correct horse")).unwrap().pubkey(), made.vault.pubkey());
    assert!(matches!(open(given("wrong horse")), Err(VaultError::WrongPassphrase)));
    assert!(matches!(open(PassphraseSource::Generate), Err(VaultError::PassphraseNeeded)));
    let declined = PassphraseSource::Ask(Box::new(|| None));
    assert!(matches!(open(declined), Err(VaultError::PassphraseNeeded)));
    let asked = PassphraseSource::Ask(Box::new(|| Some(Zeroizing::new("correct horse".into()))));
    assert!(open(asked).is_ok());
    let short = Vault::create(&home.path().join("b"), Network::Signet, given("short"));
    assert!(matches!(short, Err(VaultError::PassphraseTooShort(8))));
    assert!(!Vault::exists(&home.path().join("b")));
}

#[test]
fn the_keychain_keeps_what_is_of_value_and_nothing_lies_in_files() {
    let home = tempfile::tempdir().unwrap();
    let keychain = FakeKeychain::default();
    let seed = || Seed::generate().unwrap();
    let keep = |dir: &Path, network, source| {
        Vault::keep(dir, network, seed(), source, &keychain, false).unwrap()
    };
    let dir = home.path().join("signet");
    let made = keep(&dir, Network::Signet, PassphraseSource::Generate);
    assert_eq!((made.vault.kept_in(), made.passphrase), (Kept::Keychain, None));
    assert_eq!(files(&dir).len(), 1, "only the record");
    let opened =
        Vault::open_with(&dir, Network::Signet, PassphraseSource::Generate, &keychain).unwrap();
    assert_eq!(opened.pubkey(), made.vault.pubkey());

    let practice = keep(&home.path().join("p"), Network::Practice, PassphraseSource::Generate);
    assert_eq!(practice.vault.kept_in(), Kept::FileWithPassphraseBeside);
    let explicit = keep(&home.path().join("e"), Network::Signet, given("explicit one"));
    assert_eq!(explicit.vault.kept_in(), Kept::FileWithPassphrase);
    assert_eq!(keychain.entries.borrow().len(), 1);
}

#[test]
fn a_keychain_that_refuses_is_told_of_and_never_replaced_silently() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("vault");
    let locked = FakeKeychain { locked: true, ..FakeKeychain::default() };
    let seed = Seed::generate().unwrap();
    let made =
        Vault::keep(&dir, Network::Mainnet, seed, PassphraseSource::Generate, &locked, false)
            .unwrap();
    assert_eq!(made.keychain_refused.as_deref(), Some("it is locked"));
    assert_eq!(made.vault.kept_in(), Kept::FileWithPassphrase);
    let shown = made.passphrase.unwrap();
    assert!(!dir.join(BESIDE).exists(), "beside it only in practice");
    assert!(Vault::open(&dir, Network::Mainnet, given(&shown)).is_ok());

    let dir = home.path().join("kept");
    let keychain = FakeKeychain::default();
    let seed = Seed::generate().unwrap();
    Vault::keep(&dir, Network::Mainnet, seed, PassphraseSource::Generate, &keychain, false)
        .unwrap();
    for keychain in
        [FakeKeychain { absent: true, ..FakeKeychain::default() }, FakeKeychain::default()]
    {
        let opened =
            Vault::open_with(&dir, Network::Mainnet, PassphraseSource::Generate, &keychain);
        assert!(matches!(opened, Err(VaultError::Keychain(_))), "{opened:?}");
    }
}

#[test]
fn words_and_backups_restore_the_same_keys() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let generate = || PassphraseSource::Generate;
    let made = Vault::create(&at("a"), Network::Practice, generate()).unwrap().vault;
    // What one process says is kept by what another says.
    let other = Vault::open(&at("a"), Network::Practice, generate()).unwrap();
    made.mark_backed_up().unwrap();
    other.set_name(Some("Workbench".into())).unwrap();
    let opened = Vault::open(&at("a"), Network::Practice, generate()).unwrap();
    assert!(opened.is_backed_up() && other.is_backed_up());
    assert_eq!(opened.name().as_deref(), Some("Workbench"));

    let words = Vault::restore(&at("b"), Network::Practice, &made.words(), generate()).unwrap();
    assert_eq!(words.vault.pubkey(), made.pubkey());
    assert!(words.vault.is_backed_up());

    let passphrase = Zeroizing::new("backup passphrase".to_owned());
    made.backup_to(&at("backup.age"), passphrase.clone()).unwrap();
    assert!(matches!(
        made.backup_to(&at("backup.age"), passphrase.clone()),
        Err(VaultError::Exists(_))
    ));
    let wrong = Vault::restore_backup(
        &at("c"),
        Network::Practice,
        &at("backup.age"),
        "another passphrase",
        generate(),
    );
    assert!(matches!(wrong, Err(VaultError::WrongPassphrase)));
    let restored = Vault::restore_backup(
        &at("c"),
        Network::Practice,
        &at("backup.age"),
        &passphrase,
        generate(),
    );
    assert_eq!(*restored.unwrap().vault.derive("x"), *made.derive("x"));
}

#[test]
fn damage_is_named_and_another_seed_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let (a, b) = (home.path().join("a"), home.path().join("b"));
    Vault::create(&a, Network::Signet, given("correct horse")).unwrap();
    Vault::create(&b, Network::Signet, given("correct horse")).unwrap();
    let open = || Vault::open(&a, Network::Signet, given("correct horse"));
    fs::copy(b.join(SEALED), a.join(SEALED)).unwrap();
    assert!(matches!(open(), Err(VaultError::OtherSeed)));
    let sealed = fs::read(b.join(SEALED)).unwrap();
    for (at, cut) in [(0, 0), (sealed.len() - 1, 0), (sealed.len() / 2, 0), (0, 40)] {
        let mut bytes = sealed[..sealed.len() - cut].to_vec();
        bytes[at] ^= 1;
        fs::write(a.join(SEALED), bytes).unwrap();
        let refused = open();
        assert!(
            matches!(refused, Err(VaultError::Damaged { .. } | VaultError::WrongPassphrase)),
            "{refused:?}"
        );
    }
    fs::write(a.join(RECORD), b"{}").unwrap();
    assert!(matches!(open(), Err(VaultError::Damaged { .. })));
    fs::remove_file(a.join(RECORD)).unwrap();
    assert!(matches!(open(), Err(VaultError::Missing(_))));
}

#[test]
fn nothing_that_prints_has_a_secret() {
    let home = tempfile::tempdir().unwrap();
    let made = Vault::create(&home.path().join("v"), Network::Practice, PassphraseSource::Generate)
        .unwrap();
    let printed = format!("{made:?} {:?} {:?}", made.vault, made.vault.identity());
    let words = made.vault.words();
    for word in words.split(' ') {
        let whole = printed.split(|c: char| !c.is_ascii_alphabetic()).any(|part| part == word);
        // Field names of the output that are also in the list of words.
        assert!(!whole || ["network"].contains(&word), "{word} in {printed}");
    }
    assert!(!printed.contains(made.passphrase.as_ref().unwrap().as_str()));
    assert!(!printed.contains(made.vault.identity().nsec().as_str()));
    assert!(!printed.contains(&hex::encode(made.vault.body_key())));
}

#[test]
fn a_passphrase_is_set_proved_changed_and_taken_away() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("vault");
    let text = |text: &str| Zeroizing::new(text.to_owned());
    let generate = || PassphraseSource::Generate;
    let open = |source| Vault::open(&dir, Network::Practice, source);
    let vault = Vault::create(&dir, Network::Practice, generate()).unwrap().vault;
    assert!(!vault.has_passphrase() && !vault.proves("correct horse").unwrap());
    assert_eq!(Vault::kept_at(&dir).unwrap(), Kept::FileWithPassphraseBeside);

    assert!(matches!(
        vault.set_passphrase(text("short"), ""),
        Err(VaultError::PassphraseTooShort(8))
    ));
    assert!(!vault.has_passphrase(), "nothing changed");
    assert_eq!(vault.set_passphrase(text("correct horse"), "terms 1").unwrap(), None);
    assert!(vault.has_passphrase() && vault.proves("correct horse").unwrap());
    assert!(!vault.proves("wrong horse").unwrap());
    assert_eq!(vault.note(), "terms 1");
    assert!(!dir.join(BESIDE).exists() && !dir.join(SEALED).exists(), "nothing else opens it");
    assert_eq!(files(&dir).len(), 2, "the record and one sealed file");
    assert!(matches!(open(generate()), Err(VaultError::PassphraseNeeded)));
    let again = open(given("correct horse")).unwrap();
    assert_eq!((again.note().as_str(), again.pubkey()), ("terms 1", vault.pubkey()));
    for (name, bytes) in files(&dir) {
        let kept = String::from_utf8_lossy(&bytes);
        assert!(!kept.contains("correct horse") && !kept.contains("terms 1"), "{name}");
    }

    again.set_passphrase(text("another horse"), "terms 2").unwrap();
    assert!(matches!(open(given("correct horse")), Err(VaultError::WrongPassphrase)));
    assert_eq!(open(given("another horse")).unwrap().note(), "terms 2");
    again.remove_passphrase().unwrap();
    assert!(!again.has_passphrase() && again.note().is_empty());
    let last = open(generate()).unwrap();
    assert_eq!((last.pubkey(), last.note()), (vault.pubkey(), String::new()));
    assert_eq!(files(&dir).len(), 3);
}

#[test]
fn a_change_of_the_passphrase_that_broke_off_leaves_the_old_one() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("vault");
    let vault = Vault::create(&dir, Network::Signet, given("correct horse")).unwrap().vault;
    // As far as a crash before the record was written.
    fs::write(dir.join("seed-00000000.age"), b"half").unwrap();
    fs::write(dir.join(BESIDE), b"a passphrase").unwrap();
    let opened = Vault::open(&dir, Network::Signet, given("correct horse")).unwrap();
    assert_eq!(opened.pubkey(), vault.pubkey());
    assert_eq!(files(&dir).len(), 2, "what broke off is gone");
    for outside in ["../seed.age", "seed.age/../../x", "", "passphrase", "seed.age.part"] {
        let record = fs::read_to_string(dir.join(RECORD)).unwrap();
        let mut record: serde_json::Value = serde_json::from_str(&record).unwrap();
        record["file"] = outside.into();
        let other = home.path().join("other");
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join(RECORD), record.to_string()).unwrap();
        let refused = Vault::open(&other, Network::Signet, given("correct horse"));
        assert!(matches!(refused, Err(VaultError::Damaged { .. })), "{outside}");
    }
}

#[test]
fn the_keychain_gives_the_seed_up_for_a_passphrase_and_takes_it_back() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("vault");
    let mut keychain = FakeKeychain::default();
    let seed = Seed::generate().unwrap();
    let generate = || PassphraseSource::Generate;
    let made = Vault::keep(&dir, Network::Mainnet, seed, generate(), &keychain, false).unwrap();
    let text = || Zeroizing::new("correct horse".to_owned());
    made.vault.set_passphrase_with(text(), "", &keychain).unwrap();
    assert!(keychain.entries.borrow().is_empty());
    keychain.locked = true;
    let refused = made.vault.remove_passphrase_with(&keychain);
    assert!(matches!(refused, Err(VaultError::Keychain(_))), "nothing else would keep the seed");
    assert!(Vault::open(&dir, Network::Mainnet, given("correct horse")).is_ok());
    keychain.locked = false;
    made.vault.remove_passphrase_with(&keychain).unwrap();
    assert_eq!(files(&dir).len(), 1, "only the record");
    let back = Vault::open_with(&dir, Network::Mainnet, generate(), &keychain).unwrap();
    assert_eq!(back.pubkey(), made.vault.pubkey());

    keychain.locked = true;
    let left = made.vault.set_passphrase_with(text(), "", &keychain).unwrap();
    assert_eq!(left.as_deref(), Some("it is locked"), "what the keychain still has is told");
}
